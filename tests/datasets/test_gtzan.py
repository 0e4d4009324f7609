"""GTZAN in small: archives of the published layout made here, the lists, the table of track features."""

import hashlib
import io
import os
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import cli, datasets
from audiointerp.datasets import gtzan
from audiointerp.datasets.gtzan import GENRES, LISTS, download_gtzan, load_gtzan, load_gtzan_features
from audiointerp.datasets.splits import shared_sources
from audiointerp.downloads import download
from audiointerp.errors import ChecksumError, MissingDataError

BAD = "jazz/jazz.00054.wav"
SIZES = {"train": 443, "valid": 197, "test": 290}


def sound(kind="WAV", rate=22050, frames=50):
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.5, 0.5, frames), rate, format=kind)
    return file.getvalue()


WAV = sound()


def make_tracks(folder, numbers=range(10), genres=GENRES, ending="wav", content=WAV):
    for genre in genres:
        (folder / genre).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (folder / genre / f"{genre}.{number:05d}.{ending}").write_bytes(content)
    return folder


def list_texts(ending="\n"):
    """Lists of the published sizes: the first tracks of each genre test, then validate, then train."""
    tracks = [f"{genre}/{genre}.{number:05d}.wav" for number in range(100) for genre in GENRES]
    ends = np.cumsum([SIZES["test"], SIZES["valid"], SIZES["train"]])
    parts = dict(zip(("test", "valid", "train", "no"), np.split(tracks, ends), strict=True))
    del parts["no"]
    return {f"{part}_filtered.txt": "".join(f"{line}{ending}" for line in lines) for part, lines in parts.items()}


def make_lists(folder, **options):
    for name, text in list_texts(**options).items():
        (folder / name).write_bytes(text.encode())


def archive(numbers=range(10), bad=(BAD,)):
    """genres.tar.gz as it is published: loose .mf files, hidden ones, one track that is no sound."""
    files = {f"genres/{g}/{g}.{n:05d}.wav": WAV for g in GENRES for n in numbers}
    files |= {f"genres/{name}": bytes(100) for name in bad}
    files |= {"genres/blues.mf": b"blues.00000.wav\tblues\n", "genres/blues/._blues.00000.wav": b"x"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture(scope="module")
def packed():
    return archive()


@pytest.fixture
def site(server, monkeypatch, packed):
    """The archive at its address and its mirror, and the lists."""
    addresses = (server.url("genres.tar.gz"), server.url("mirror/genres.tar.gz"))
    known = hashlib.md5(packed).hexdigest()
    monkeypatch.setattr(gtzan, "ARCHIVE", replace(gtzan.ARCHIVE, urls=addresses, md5=known))
    for part, remote in list(LISTS.items()):
        monkeypatch.setitem(LISTS, part, replace(remote, urls=(server.url(remote.filename),)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.pages |= {"genres.tar.gz": packed, "mirror/genres.tar.gz": packed}
    server.pages |= {name: text.encode() for name, text in list_texts().items()}
    return server


def test_published_addresses_and_checksum():
    assert gtzan.ARCHIVE.urls[0] == "http://opihi.cs.uvic.ca/sound/genres.tar.gz"
    assert gtzan.ARCHIVE.urls[1].startswith("https://huggingface.co/datasets/marsyas/gtzan/")
    assert gtzan.ARCHIVE.md5 == "5b3d6dddb579ab49814ab86dba69e7c7" and gtzan.ARCHIVE.strict
    assert [remote.urls for remote in LISTS.values()] == [
        (f"https://raw.githubusercontent.com/coreyker/dnn-mgr/master/gtzan/{part}_filtered.txt",) for part in SIZES
    ]


@pytest.mark.parametrize(("ending", "kind"), [("wav", "WAV"), ("au", "AU"), ("ogg", "OGG")])
def test_table(tmp_path, ending, kind, capsys):
    place = make_tracks(tmp_path / "gtzan" / "genres", ending=ending, content=sound(kind, frames=2000))
    clips = load_gtzan(tmp_path, download=False)
    assert list(clips.columns) == ["path", "label", "fold", "source", "filtered"]
    assert clips["label"].tolist() == list(np.repeat(GENRES, 10))
    assert clips["source"].tolist() == [f"{genre}.{number:05d}" for genre in GENRES for number in range(10)]
    assert clips["fold"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5] * 10
    assert set(clips["filtered"]) == {""}
    assert clips["path"][13] == str(place.resolve() / "classical" / f"classical.00003.{ending}")
    assert clips.index.tolist() == list(range(100))
    assert f"{place.parent.name}/{place.name}: 100 of 1,000 tracks, 10 a genre.\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    ["gtzan/genres", "GTZAN/genres", "genres", "gtzan", "gtzan_genre/genres", "Data/genres_original", "."],
)
def test_places(tmp_path, name):
    place = make_tracks(tmp_path / name, numbers=range(2))
    make_lists(place.parent if "genres" in name else place)
    clips = load_gtzan(tmp_path, download=False)
    assert len(clips) == 20 and set(clips["filtered"]) == {"test"}


def test_data_folder_is_where_the_settings_say(tmp_path, monkeypatch):
    make_tracks(tmp_path / "gtzan" / "genres")
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    pd.testing.assert_frame_equal(datasets.load("gtzan", download=False), load_gtzan(tmp_path))


# 100 tracks give blocks of 20; others the blocks that are nearest to it, by hand.
@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (range(100), list(np.repeat([1, 2, 3, 4, 5], 20))),
        ([3, 7, 20, 21, 22, 40, 99], [1, 1, 2, 3, 3, 4, 5]),
        (range(5), [1, 2, 3, 4, 5]),
        ([8], [1]),
    ],
)
def test_folds_are_blocks_of_neighbours(tmp_path, numbers, expected, capsys):
    make_tracks(tmp_path / "genres", numbers=range(1))
    make_tracks(tmp_path / "genres", numbers=numbers, genres=["rock"])
    if 0 not in numbers:
        (tmp_path / "genres" / "rock" / "rock.00000.wav").unlink()
    clips = load_gtzan(tmp_path, download=False)
    rock = clips[clips["label"] == "rock"]
    assert rock["fold"].tolist() == expected
    assert shared_sources(clips[clips["fold"] == 1], clips[clips["fold"] > 1]).empty
    assert f"{9 + len(expected)} of 1,000 tracks" in capsys.readouterr().out


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """All 1,000 tracks, one of them no sound, and the lists."""
    folder = tmp_path_factory.mktemp("official")
    make_tracks(folder / "gtzan" / "genres", numbers=range(100))
    (folder / "gtzan" / "genres" / BAD).write_bytes(bytes(4000))
    make_lists(folder / "gtzan")
    return folder


def test_unreadable_track_is_left_out_and_moves_no_fold(official, capsys):
    with pytest.warns(UserWarning, match=r"genres: left out jazz\.00054\.wav: no sound can be read") as caught:
        clips = load_gtzan(official, download=False)
    assert len(caught) == 1 and capsys.readouterr().out == ""
    assert len(clips) == 999 and "jazz.00054" not in set(clips["source"])
    number = clips["source"].str[-5:].astype(int)
    assert (clips["fold"] == number // 20 + 1).all()


@pytest.mark.filterwarnings("ignore:.*left out")
def test_filtered_parts(official):
    clips = load_gtzan(official, download=False)
    texts = list_texts()
    for part, count in SIZES.items():
        listed = {line[line.index("/") + 1 : -4] for line in texts[f"{part}_filtered.txt"].split()}
        assert len(listed) == count
        assert set(clips["source"][clips["filtered"] == part]) == listed - {"jazz.00054"}
    assert (clips["filtered"] == "").sum() == 70


def test_lists_may_have_other_line_endings(tmp_path):
    make_tracks(tmp_path / "genres", numbers=[0, 60])
    make_lists(tmp_path, ending="\r\n")
    assert load_gtzan(tmp_path)["filtered"].tolist() == ["test", "train"] * 10


LISTS_THAT_ARE_NONE = {
    "missing": (None, "no valid_filtered.txt"),
    "empty": ("", "expected 197 lines .* found 0, 0 tracks"),
    "page": ("<html>404: Not Found</html>", "expected 197 lines .* found 3, 0 tracks"),
    "short": ("blues/blues.00001.wav\n" * 197, "found 197, 1 tracks"),
    "other genre": ("".join(f"polka/polka.{i:05d}.wav\n" for i in range(197)), "found 197, 0 tracks"),
    "folder and name differ": ("".join(f"blues/rock.{i:05d}.wav\n" for i in range(197)), "found 197, 0 tracks"),
    "another part": ("".join(list_texts()["test_filtered.txt"].splitlines(True)[:197]), "stands in two of them"),
}


@pytest.mark.parametrize("case", LISTS_THAT_ARE_NONE)
def test_lists_that_cannot_be_used_are_named(tmp_path, case):
    text, problem = LISTS_THAT_ARE_NONE[case]
    make_tracks(tmp_path / "genres", numbers=range(2))
    make_lists(tmp_path)
    (tmp_path / "valid_filtered.txt").unlink()
    if text is not None:
        (tmp_path / "valid_filtered.txt").write_text(text)
    with pytest.warns(UserWarning, match=f"lists are not used .*{problem}.*audiointerp download gtzan"):
        clips = load_gtzan(tmp_path, download=False)
    assert set(clips["filtered"]) == {""}


def test_tracks_of_another_name_and_in_two_formats_are_left_out(tmp_path):
    place = make_tracks(tmp_path / "genres", numbers=range(5))
    for name in ("blues/my track.wav", "blues/rock.00000.wav", "rock/rock.00001 (1).wav"):
        (place / name).write_bytes(WAV)
    (place / "pop" / "pop.00002.au").write_bytes(sound("AU"))
    (place / "pop" / "pop.00003.au").write_bytes(b"")
    make_tracks(place, genres=["polka"])
    with pytest.warns(UserWarning) as caught:
        clips = load_gtzan(tmp_path, download=False)
    texts = [str(one.message) for one in caught]
    assert len(texts) == 3
    assert "left out my track.wav, rock.00000.wav, rock.00001 (1).wav: not named as GTZAN's tracks are" in texts[0]
    assert "left out pop.00003.au: no sound can be read" in texts[1]
    assert "left out pop.00002.wav: the track is there in another format" in texts[2]
    assert clips["source"].tolist() == [f"{genre}.{number:05d}" for genre in GENRES for number in range(5)]
    assert clips["fold"].tolist() == [1, 2, 3, 4, 5] * 10


def test_missing_genres(tmp_path, site):
    make_tracks(tmp_path / "gtzan" / "genres", genres=GENRES[:7])
    for _ in range(2):
        with pytest.raises(MissingDataError, match=r"7 of the 10 genres.*pop, reggae, rock\. Add them.*download gtzan"):
            load_gtzan(tmp_path)
        with pytest.raises(MissingDataError, match=r"7 of the 10 genres"):
            download_gtzan(tmp_path)
    assert not site.hits


@pytest.mark.filterwarnings("ignore:.*(left out|empty)")
@pytest.mark.parametrize("content", [None, b"", b"no sound", sound(frames=0)])
def test_genre_without_a_readable_track(tmp_path, content):
    place = make_tracks(tmp_path / "genres", numbers=range(2))
    for path in (place / "disco").iterdir():
        path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(MissingDataError, match=r"9 of the 10 genres.*not there: disco\."):
        load_gtzan(tmp_path, download=False)


def test_a_whole_copy_is_preferred_to_half_of_one(tmp_path):
    make_tracks(tmp_path / "gtzan" / "genres", genres=GENRES[:5])
    make_tracks(tmp_path / "genres", numbers=range(3))
    assert len(load_gtzan(tmp_path, download=False)) == 30


def test_nothing_there(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load_gtzan(tmp_path, download=False)
    for part in (str(tmp_path), "audiointerp download gtzan", "AUDIOINTERP_DATA", "genres_original", "load() a folder"):
        assert part in str(caught.value)


# The download


def test_download(site, tmp_path, capsys):
    with pytest.warns(UserWarning, match=r"left out jazz\.00054\.wav"):
        clips = load_gtzan(tmp_path)
    said = capsys.readouterr().out
    for part in ("no open licence", "never publish its audio", "Tzanetakis & Cook", "100 of 1,000 tracks"):
        assert part in said
    assert len(clips) == 100 and set(clips["filtered"]) == {"test"}
    assert sorted(os.listdir(tmp_path / "gtzan")) == sorted(["genres", *list_texts()])
    assert dict(site.hits) == {"genres.tar.gz": 1} | dict.fromkeys(list_texts(), 1)
    with pytest.warns(UserWarning, match="left out"):
        pd.testing.assert_frame_equal(load_gtzan(tmp_path, download=False), clips)
    assert download_gtzan(tmp_path, progress=False) == tmp_path / "gtzan" / "genres"
    assert set(site.hits.values()) == {1}


def test_command(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert cli.main(["download", "gtzan"]) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "gtzan" / "genres"))


def test_mirror_is_taken_when_the_address_fails(site, tmp_path):
    site.pages["genres.tar.gz"] = 503
    place = download("gtzan", folder=tmp_path, progress=False)
    assert len(list(place.rglob("[!.]*.wav"))) == 101
    assert site.hits["mirror/genres.tar.gz"] == 1


def test_mirror_is_taken_when_the_address_has_another_file(site, tmp_path):
    site.pages["genres.tar.gz"] = archive(bad=("jazz/jazz.00000.wav",))
    download_gtzan(tmp_path, progress=False)
    assert (tmp_path / "gtzan" / "genres" / BAD).is_file()


def test_another_archive_is_refused_before_it_is_unpacked(site, tmp_path, monkeypatch):
    monkeypatch.setattr("audiointerp.storage.remote.unpack", lambda *_, **__: pytest.fail("unpacked"))
    site.pages["genres.tar.gz"] = site.pages["mirror/genres.tar.gz"] = archive(numbers=range(9))
    with pytest.raises(ChecksumError, match="expected md5"):
        load_gtzan(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_archive_put_there_by_hand_is_used_and_kept(site, tmp_path, packed):
    (tmp_path / "gtzan").mkdir()
    (tmp_path / "gtzan" / "genres.tar.gz").write_bytes(packed)
    download_gtzan(tmp_path, progress=False)
    assert (tmp_path / "gtzan" / "genres.tar.gz").exists()
    assert "genres.tar.gz" not in site.hits


def test_offline(site, tmp_path):
    site.pages.clear()
    with pytest.raises(MissingDataError, match=r'gtzan/genres\.tar\.gz by hand.*GENRES="synthetic_music"'):
        load_gtzan(tmp_path)


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("answer", [404, b"<html>Not here</html>", list_texts()["train_filtered.txt"].encode()])
def test_tracks_load_without_the_lists(site, tmp_path, answer):
    published = site.pages["test_filtered.txt"]
    site.pages["test_filtered.txt"] = answer
    with pytest.warns(UserWarning, match=r"tracks are there, without the fault-filtered lists.*test_filtered\.txt"):
        place = download_gtzan(tmp_path, progress=False)
    assert not (place.parent / "test_filtered.txt").exists()
    with pytest.warns(UserWarning, match=r"lists are not used \(no test_filtered\.txt\)"):
        assert set(load_gtzan(tmp_path)["filtered"]) == {""}
    site.pages["test_filtered.txt"] = published
    download_gtzan(tmp_path, progress=False)
    assert set(load_gtzan(tmp_path)["filtered"]) == {"test"}
    assert site.hits["genres.tar.gz"] == 1


def test_tracks_that_are_there_are_completed_with_the_lists(site, tmp_path, capsys):
    make_tracks(tmp_path / "genres")
    assert download_gtzan(tmp_path, progress=False) == tmp_path / "genres"
    assert "already" in capsys.readouterr().out
    assert set(load_gtzan(tmp_path)["filtered"]) == {"test"}
    assert "genres.tar.gz" not in site.hits


# The track features


def features_table(numbers=range(4), ending="au"):
    tracks = [(genre, f"{genre}.{number:05d}") for genre in GENRES for number in numbers]
    values = np.random.default_rng(2).normal(size=(len(tracks), 57))
    table = pd.DataFrame(values, columns=[f"feature{i}" for i in range(57)])
    table.insert(0, "filename", [f"{track}.{ending}" for _, track in tracks])
    table.insert(1, "length", 661794)
    return table.assign(label=[genre for genre, _ in tracks])


def write_features(folder, table):
    folder.mkdir(exist_ok=True, parents=True)
    table.to_csv(folder / "features_30_sec.csv", index=False)


@pytest.mark.parametrize("ending", ["au", "wav"])
@pytest.mark.parametrize("folder", ["gtzan", "GTZAN", "Data", "."])
def test_features(tmp_path, monkeypatch, folder, ending):
    written = features_table(range(10), ending)
    write_features(tmp_path / folder, written)
    make_lists(tmp_path / folder)
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    table = load_gtzan_features()
    assert table.index.name == "track" and table.index[14] == "classical.00004"
    assert list(table.columns) == ["label", "fold", "filtered", *[f"feature{i}" for i in range(57)]]
    np.testing.assert_array_equal(table.iloc[:, 3:], written.iloc[:, 2:59])
    assert table["label"].tolist() == list(np.repeat(GENRES, 10))
    assert table["fold"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5] * 10
    assert set(table["filtered"]) == {"test"}


def test_rows_in_any_order_have_the_folds_of_their_tracks(tmp_path):
    written = features_table(range(20))
    write_features(tmp_path, written.sample(frac=1, random_state=3))
    mixed = load_gtzan_features(tmp_path)
    write_features(tmp_path, written)
    pd.testing.assert_frame_equal(mixed.sort_index(), load_gtzan_features(tmp_path).sort_index())
    make_tracks(tmp_path / "genres", numbers=range(20))
    assert load_gtzan(tmp_path).set_index("source")["fold"].to_dict() == mixed["fold"].to_dict()


def test_features_that_are_not_there(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load_gtzan_features(tmp_path)
    for part in (str(tmp_path / "gtzan" / "features_30_sec.csv"), "no official address", "GTZAN Dataset - Music Genre"):
        assert part in str(caught.value)


def changed(row=None, column=None, value=None, drop=(), repeat=False):
    table = features_table()
    if column:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
    table = pd.concat([table, table.iloc[:1]]) if repeat else table
    return table.drop(columns=list(drop))


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (changed(drop=["label"]), "'label'"),
        (changed(drop=["filename"]), "'filename'"),
        (changed(drop=["feature8"]), "56 features of 40 tracks"),
        (changed(3, "feature8", "loud"), "loud"),
        (changed(3, "feature8", np.nan), "39 rows whole"),
        (changed(3, "feature8", np.inf), "39 rows whole"),
        (changed(3, "label", "rock"), "39 rows whole"),
        (changed(3, "filename", "rock.00000.au"), "39 of them different and 39 rows whole"),
        (changed(repeat=True), "of 41 tracks, 40 of them different"),
        (changed().iloc[:0], "of 0 tracks"),
        (changed().assign(more=1.0), "58 features"),
    ],
)
def test_another_table(tmp_path, table, problem):
    write_features(tmp_path, table)
    with pytest.raises(MissingDataError, match=rf"features_30_sec\.csv: .*{problem}.*Expected filename, label and 57"):
        load_gtzan_features(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff\xfe\x00\x81", zlib.compress(b"features")])
def test_features_that_are_no_table(tmp_path, content):
    (tmp_path / "features_30_sec.csv").write_bytes(content)
    with pytest.raises(MissingDataError, match="not GTZAN's track features"):
        load_gtzan_features(tmp_path)


# The real ones


@pytest.mark.realdata
def test_real_tracks(real_data):
    clips = datasets.load("gtzan", download=False)
    assert set(clips["label"]) == set(GENRES)
    assert clips["source"].is_unique
    assert (clips.groupby("label")["fold"].nunique() == 5).all()
    assert all(soundfile.info(path).samplerate == 22050 for path in clips["path"])
    table = load_gtzan_features()
    assert set(clips["source"]) <= set(table.index)
    assert clips["filtered"].tolist() == table["filtered"].loc[clips["source"]].tolist()


@pytest.mark.realdata
def test_real_features_and_lists(real_data):
    table = load_gtzan_features()
    assert table.shape == (1000, 60)
    assert table["filtered"].value_counts().to_dict() == {**SIZES, "": 70}
    assert table["fold"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 200)
    # Repetitions that Sturm found by ear, arXiv:1306.1461, are rows of the same numbers.
    features = table.columns[3:]
    for one, two in [
        ("hiphop.00039", "hiphop.00045"),
        ("metal.00034", "metal.00094"),
        ("reggae.00081", "reggae.00082"),
    ]:
        np.testing.assert_array_equal(table.loc[one, features].astype(float), table.loc[two, features].astype(float))
        assert "" in set(table["filtered"].loc[[one, two]])
    clean = table[table["filtered"] != ""]
    assert not clean.duplicated(features).any()


@pytest.mark.realdata
def test_real_tracks_are_those_of_the_features(real_data):
    """The table gives each track's length in samples."""
    lengths = pd.read_csv(Path(real_data) / "gtzan" / "features_30_sec.csv", index_col="filename")["length"]
    clips = datasets.load("gtzan", download=False)
    for row in clips[::7].itertuples():
        assert soundfile.info(row.path).frames == lengths[f"{row.source}.au"]


@pytest.mark.network
def test_published_lists(tmp_path):
    make_tracks(tmp_path / "genres", numbers=range(100))
    download_gtzan(tmp_path, progress=False)
    assert load_gtzan(tmp_path)["filtered"].value_counts().to_dict() == {**SIZES, "": 70}
