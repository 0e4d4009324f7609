import types

import pandas as pd
import pytest
from PIL import Image

from audiointerp.errors import WeightsError
from audiointerp.networks.saving import load_network
from audiointerp.reports import check_place, save_own_classes, summary


@pytest.fixture
def own(network_of):
    """Twelve clips of two classes, two of them wrong, two files left out."""
    label = ["dog"] * 6 + ["rain"] * 6
    score = [0.9, 0.8, 0.7, 0.6, 0.2, 0.95, 0.9, 0.1, 0.8, 0.7, 0.6, 0.55]
    paths = [f"/far/{own}/{number}.wav" for number, own in enumerate(label)]
    votes = pd.DataFrame({"label": label, "fold": [1, 2] * 6, "path": paths})
    dog = [s if k == "dog" else 1 - s for s, k in zip(score, label, strict=True)]
    votes["predicted"] = ["dog" if s > 0.5 else "rain" for s in dog]
    votes["dog"], votes["rain"] = dog, [1 - s for s in dog]
    votes.attrs["labels"] = ["dog", "rain"]
    left_out = pd.DataFrame({"path": ["/far/dog/x.wav"] * 2, "label": "dog", "why": "cannot be read"})
    clips = votes[["path", "label", "fold"]]
    return types.SimpleNamespace(network=network_of(), votes=votes, clips=clips, left_out=left_out)


def test_summary_says_what_the_table_holds(own):
    text = summary(own, most=1)
    assert "12 clips of 2 classes, each predicted by a network trained without its fold (2)" in text
    assert "10 right, 83.3% (55.2% to 95.3%; by chance 50.0%)" in text  # Wilson's interval of 10 in 12
    assert "dog for rain: 1" in text and "rain for dog" not in text
    assert "0.10 rain, taken for dog (0.90): rain/7.wav" in text and "dog/4.wav" not in text
    assert "Left out, 2 files:\n  dog/x.wav: cannot be read\n  and 1 more" in text
    assert "/far" not in text


def test_files_beside_the_network(own, tmp_path):
    written = save_own_classes(own, tmp_path / "my.keras")
    assert [path.name for path in written] == ["my.keras", "my.clips.csv", "my.confusion.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.clips.csv", "my.confusion.png", "my.keras"]
    table = pd.read_csv(written[1])
    assert list(table) == ["path", "label", "fold", "predicted", "own_score"] and len(table) == 12
    assert table.loc[7, "own_score"] == pytest.approx(0.1) and table.loc[7, "predicted"] == "dog"
    assert Image.open(written[2]).size[0] > 600
    assert load_network(written[0]).count_params() == own.network.count_params()


def test_nothing_is_replaced_unless_asked(own, tmp_path):
    place = check_place(tmp_path / "new" / "my.keras")
    assert place.parent.is_dir() and not list(place.parent.iterdir())
    (place.parent / "my.clips.csv").write_text("my own table")
    with pytest.raises(WeightsError, match=r"my\.clips\.csv: there already.*--overwrite"):
        check_place(place)
    assert check_place(place, overwrite=True) == place
    (place.parent / "my.confusion.png").mkdir()
    (place.parent / "file").touch()
    for bad in (place, place.parent / "file" / "my.keras", place.parent / "my.h5"):
        with pytest.raises(WeightsError, match=r"Choose|ends in"):
            check_place(bad, overwrite=True)
