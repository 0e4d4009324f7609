import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError
from audiointerp.sound import patches as patches_module
from audiointerp.sound.frontend import VGGISH, YAMNET
from audiointerp.sound.music import track_features
from audiointerp.sound.patches import Patches, make_patches


@pytest.fixture
def clips(tmp_path, rng):
    """Three clips of noise, of 1.5, 2.0 and 2.5 s, with an index of their own."""
    paths = []
    for number, seconds in enumerate([1.5, 2.0, 2.5]):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], rng.normal(0, 0.1, int(16_000 * seconds)), 16_000)
    columns = {"path": [str(path) for path in paths], "label": ["dog", "rain", "dog"], "fold": [1, 2, 1]}
    return pd.DataFrame({**columns, "source": ["a", "b", "c"]}, index=[7, 3, 5])


def test_patches_are_those_of_each_clip_in_order(clips):
    patches = make_patches(clips)
    expected = [VGGISH.cut(VGGISH.log_mel(soundfile.read(path, dtype="float32")[0])) for path in clips["path"]]
    np.testing.assert_array_equal(patches.data, np.concatenate([cut for cut, _ in expected]))
    np.testing.assert_array_equal(patches.start, np.concatenate([start for _, start in expected]))
    counts = [len(cut) for cut, _ in expected]
    assert counts == [3, 5, 7]
    assert list(patches.clip) == list(np.repeat([7, 3, 5], counts))
    assert list(patches.label) == list(np.repeat(["dog", "rain", "dog"], counts))
    for column in ("label", "fold", "source", "path"):
        assert list(patches.table[column]) == list(clips[column].loc[patches.clip]), column
    assert patches.table["fold"].dtype.kind == "i"
    assert patches.data.dtype == np.float32
    assert not patches.silent.any() and not patches.table["padded"].any()


def test_number_of_jobs_changes_nothing(clips, monkeypatch, tmp_path):
    one = make_patches(clips, jobs=1)
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "another"))
    two = make_patches(clips, jobs=2)
    np.testing.assert_array_equal(one.data, two.data)
    pd.testing.assert_frame_equal(one.table, two.table)


@pytest.mark.parametrize(("overlap", "n"), [(0, 3), (0.5, 7), (0.75, 15)])
def test_overlap(clips, overlap, n):
    patches = make_patches(clips, overlap=overlap)
    # (148, 198 and 248 frames in the three clips)
    hop = round(96 * (1 - overlap))
    assert n >= 3 and len(patches) == sum((frames - 96) // hop + 1 for frames in (148, 198, 248))
    np.testing.assert_allclose(patches[patches.clip == 5].start, np.arange((248 - 96) // hop + 1) * hop * 0.01)


def test_a_table_of_paths_alone_is_enough(clips):
    patches = make_patches(clips[["path"]])
    assert set(patches.table) == {"clip", "start", "path", "padded", "silent"}


def test_silent_and_padded_patches_are_marked(tmp_path, rng):
    half = np.concatenate([np.zeros(32_000), rng.normal(0, 0.1, 32_000)])
    soundfile.write(tmp_path / "half.wav", half, 16_000)
    soundfile.write(tmp_path / "short.wav", rng.normal(0, 0.1, 8_000), 16_000)
    clips = pd.DataFrame({"path": [str(tmp_path / "half.wav"), str(tmp_path / "short.wav")], "label": ["a", "b"]})
    with pytest.warns(AudioRepairWarning, match=r"short\.wav: too short for one patch of 0\.96 s") as caught:
        patches = make_patches(clips)
    assert len(caught) == 1
    first = patches[patches.clip == 0]
    np.testing.assert_array_equal(first.silent, first.start + 0.96 <= 2.0)
    assert not first.table["padded"].any()
    last = patches[patches.clip == 1]
    assert len(last) == 1 and last.table["padded"].all() and not last.silent.any()


def test_indexing_gives_patches_again(clips):
    patches = make_patches(clips)
    for index, rows in [
        (4, [4]),
        (-1, [14]),
        (slice(2, 5), [2, 3, 4]),
        ([9, 1, 1], [9, 1, 1]),
        (patches.label == "rain", range(3, 8)),
        (pd.Series(patches.clip == 3, index=range(100, 115)), range(3, 8)),
    ]:
        chosen = patches[index]
        assert isinstance(chosen, Patches) and chosen.frontend is patches.frontend
        np.testing.assert_array_equal(chosen.data, patches.data[list(rows)])
        assert list(chosen.table.index) == list(rows)
    assert len(patches[patches.label == "cat"]) == 0
    with pytest.raises(IndexError):
        patches[15]
    np.testing.assert_array_equal(patches.time, VGGISH.time)
    np.testing.assert_array_equal(patches.frequency, VGGISH.frequency)


@pytest.mark.parametrize("shape", [(3, 96, 65), (3, 64, 96), (2, 96, 64), (3, 96, 64, 1)])
def test_data_that_does_not_fit_the_table_or_the_front_end(shape):
    with pytest.raises(PatchShapeError, match=r"expected \(3, 96, 64\)"):
        Patches(np.zeros(shape, np.float32), pd.DataFrame({"clip": [0, 1, 2]}), VGGISH)


def test_digest_tells_contents_labels_and_settings_apart(clips):
    patches = make_patches(clips)
    other_label = Patches(patches.data, patches.table.assign(label="cat"), VGGISH)
    louder = Patches(patches.data + np.float32(1e-3), patches.table, VGGISH)
    other_settings = Patches(patches.data, patches.table, YAMNET)
    every = [patches, patches[::-1], patches[1:], other_label, louder, other_settings]
    assert len({p.digest for p in every}) == len(every)
    assert make_patches(clips).digest == patches.digest


def test_what_patches_hold_cannot_be_changed(clips):
    made = make_patches(clips)
    own = made.data.copy()
    for patches in (made, made[2:5], made.without_band(0, 1_000), Patches(own, made.table, VGGISH)):
        with pytest.raises(ValueError, match="read-only"):
            patches.data[0] = 0
    own[:] = 0
    assert Patches(made.data, made.table, VGGISH).data is made.data
    assert made.digest == make_patches(clips).digest != Patches(own, made.table, VGGISH).digest


def test_an_array_given_is_copied_and_stays_writeable(clips):
    made = make_patches(clips)
    own = made.data.copy()
    patches = Patches(own, made.table, VGGISH)
    own[:] = 0
    np.testing.assert_array_equal(patches.data, made.data)


def test_a_band_taken_out():
    data = np.random.default_rng(0).normal(size=(2, 96, 64)).astype(np.float32)
    patches = Patches(data, pd.DataFrame({"clip": [0, 1]}), VGGISH)
    low, high = VGGISH.frequency[[10, 20]]
    silent, mean = patches.without_band(low, high, fill="silence").data, patches.without_band(low, high).data
    np.testing.assert_allclose(silent[:, :, 10:20], np.log(0.01), rtol=1e-6)
    for before, after in zip(data, mean, strict=True):
        np.testing.assert_allclose(after[:, 10:20], before.mean(), rtol=1e-5)
    for after in (silent, mean):
        np.testing.assert_array_equal(np.delete(after, np.s_[10:20], axis=2), np.delete(data, np.s_[10:20], axis=2))
    with pytest.raises(ValueError, match="fill='noise': expected 'mean' or 'silence'"):
        patches.without_band(low, high, fill="noise")


def test_large_sets_live_in_a_file_and_are_the_same(clips, monkeypatch, own_cache):
    expected = make_patches(clips)
    monkeypatch.setattr(patches_module, "IN_MEMORY", expected.data[:4].nbytes)
    patches = make_patches(clips)
    assert isinstance(patches.data, np.memmap)
    np.testing.assert_array_equal(patches.data, expected.data)
    assert patches.digest == expected.digest
    np.testing.assert_array_equal(patches[[2, 8]].data, expected.data[[2, 8]])
    assert not list((own_cache / "patches").iterdir())


def cannot_read(*_, **__):
    raise AssertionError("the file was read although the cache knows it")


def test_log_mels_come_from_the_cache_by_content_and_settings(clips, monkeypatch, tmp_path):
    expected = make_patches(clips)
    monkeypatch.setattr(patches_module, "read_with_notes", cannot_read)
    np.testing.assert_array_equal(make_patches(clips).data, expected.data)
    make_patches(clips, overlap=0)
    moved = tmp_path / "moved.wav"
    (tmp_path / "0.wav").rename(moved)
    np.testing.assert_array_equal(make_patches(pd.DataFrame({"path": [str(moved)]})).data, expected.data[:3])
    with pytest.raises(AssertionError, match="was read although"):
        make_patches(clips[1:], YAMNET)
    soundfile.write(clips["path"].loc[3], np.zeros(20_000), 16_000)
    with pytest.raises(AssertionError, match="was read although"):
        make_patches(clips[1:])


def test_repairs_are_said_again_when_they_come_from_the_cache(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 8_000)
    clips = pd.DataFrame({"path": [str(tmp_path / "a.wav")]})
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: sampled at 8000 Hz") as caught:
        make_patches(clips)
    assert caught[0].filename == __file__
    monkeypatch.setattr(patches_module, "read_with_notes", cannot_read)
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: sampled at 8000 Hz"):
        make_patches(clips)


@pytest.fixture
def partly_bad(clips, tmp_path):
    (tmp_path / "1.wav").write_bytes(b"")
    clips.loc[9] = {"path": str(tmp_path / "gone.wav"), "label": "rain", "fold": 2, "source": "d"}
    return clips


def test_all_bad_clips_are_named_at_once(partly_bad):
    with pytest.raises(UnreadableAudioError) as caught:
        make_patches(partly_bad)
    text = str(caught.value)
    assert "2 of 4 clips cannot be read" in text and "on_error='skip'" in text
    assert "1.wav: no audio frames (file is 0 bytes)" in text and "gone.wav: No such file" in text


def test_bad_clips_can_be_left_out(partly_bad):
    with pytest.warns(AudioRepairWarning, match="(?s)2 of 4 clips.*They are left out"):
        patches = make_patches(partly_bad, on_error="skip")
    assert sorted(set(patches.clip)) == [5, 7]
    assert list(patches.table.index) == list(range(len(patches)))


def test_nothing_is_left_when_every_clip_is_bad(partly_bad):
    with pytest.raises(UnreadableAudioError, match="2 of 2"):
        make_patches(partly_bad.loc[[3, 9]], on_error="skip")


def test_a_long_list_of_bad_clips_is_cut(tmp_path):
    clips = pd.DataFrame({"path": [str(tmp_path / f"{i}.wav") for i in range(13)]})
    with pytest.raises(UnreadableAudioError, match=r"9\.wav(?s:.*)… and 3 more"):
        make_patches(clips)


def test_no_clips_and_wrong_options(clips):
    with pytest.raises(MissingDataError, match="no clips"):
        make_patches(clips[:0])
    with pytest.raises(ValueError, match="on_error='ignore'"):
        make_patches(clips, on_error="ignore")
    with pytest.raises(ValueError, match="overlap is 1"):
        make_patches(clips, overlap=1)


@pytest.mark.realdata
def test_a_real_clip_of_five_seconds_gives_seventeen_patches(real_data):
    from audiointerp import datasets

    clips = datasets.load("esc10")
    seconds = clips["path"].map(lambda path: soundfile.info(path).duration)
    five = clips[seconds.between(4.999, 5.001)].groupby("label").head(1)
    assert len(five) >= 5
    assert set(make_patches(five).table.groupby("clip").size()) == {17}


@pytest.fixture
def joined(tmp_path, rng):
    """Two tables of two clips each, put one below the other: each index stands there twice."""
    tables = []
    for label in ("dog", "rain"):
        (tmp_path / label).mkdir()
        paths = [tmp_path / label / f"{number}.wav" for number in range(2)]
        for path in paths:
            soundfile.write(path, rng.normal(0, 0.1, 16_000), 16_000)
        tables.append(pd.DataFrame({"path": [str(path) for path in paths], "label": label, "fold": [1, 2]}))
    return pd.concat(tables)


def test_joined_tables_are_numbered_anew_and_it_is_said(joined):
    with pytest.warns(AudioRepairWarning, match=r"names 2 of 4 clips as it names others.*ignore_index=True"):
        patches = make_patches(joined, progress=False)
    expected = make_patches(joined.reset_index(drop=True), progress=False)
    np.testing.assert_array_equal(patches.data, expected.data)
    pd.testing.assert_frame_equal(patches.table, expected.table)
    votes = patches.table.groupby("clip")["label"].agg(["nunique", "first"])
    assert len(votes) == 4 and set(votes["nunique"]) == {1} and set(votes["first"]) == {"dog", "rain"}


def test_joined_tables_keep_all_their_track_features(joined):
    with pytest.warns(AudioRepairWarning, match="names 2 of 4 clips"):
        found = track_features(joined, progress=False)
    assert list(found.index) == [0, 1, 2, 3] and list(found["label"]) == ["dog", "dog", "rain", "rain"]


@pytest.mark.parametrize("channel", [0, 1])
def test_one_channel_of_clips(tmp_path, rng, channel):
    one, other = rng.normal(0, 0.1, (2, 16_000))
    for name, sound in {"both": np.stack([one, other], axis=1), "alone": (one, other)[channel]}.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000, subtype="FLOAT")
    both, alone = (
        pd.DataFrame({"path": [str(tmp_path / f"{name}.wav")], "label": "dog"}) for name in ("both", "alone")
    )
    found = make_patches(both, channel=channel, progress=False)
    np.testing.assert_allclose(found.data, make_patches(alone, progress=False).data, atol=1e-5)
    assert not np.allclose(found.data, make_patches(both, progress=False).data, atol=0.1)
