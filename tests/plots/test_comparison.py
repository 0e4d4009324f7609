"""The figure that compares networks."""

import pandas as pd
import pytest

from audiointerp import plots

ROWS = [("plain CNN", 0.62), ("CAM CNN", 0.78), ("YAMNet, transfer", 0.85)]


@pytest.fixture
def table():
    rows = []
    for split, more in (("by track", 0), ("segments at random", 0.1)):
        for network, share in ROWS:
            value = share + more
            row = {"network": network, "split": split}
            for of in ("segments", "tracks"):
                row |= {of: value, f"{of}_low": value - 0.08, f"{of}_high": min(1, value + 0.06)}
            rows.append(row)
    return pd.DataFrame(rows)


def test_every_row_stands_at_its_place(table):
    axes = plots.network_comparison(table, chance=0.1)
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == [name for name, _ in ROWS]
    for ax in axes:
        assert [text.get_text() for text in ax.texts[:6]] == ["62", "78", "85", "72", "88", "95"]
        first = ax.containers[0][0]
        assert first.get_xdata().tolist() == pytest.approx([62, 78, 85])
        assert [round(y) for y in first.get_ydata()] == [0, 1, 2]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_names_of_the_splits_stand_in_a_legend(table):
    axes = plots.network_comparison(table)
    assert [text.get_text() for text in axes[0].figure.legends[0].get_texts()] == ["by track", "segments at random"]
    axes = plots.network_comparison(table[table["split"] == "by track"])
    assert not axes[0].figure.legends


def test_a_split_may_lack_a_network(table):
    axes = plots.network_comparison(table.drop(index=5))
    assert len(axes[1].containers[1][0].get_xdata()) == 2


def test_other_tables_are_refused(table):
    with pytest.raises(ValueError, match="compare_networks"):
        plots.network_comparison(table.drop(columns="tracks_low"))
