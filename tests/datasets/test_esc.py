import hashlib
import io
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import datasets
from audiointerp.datasets import esc
from audiointerp.datasets.esc import ESC10_LABELS, ESC50_LABELS, category_name
from audiointerp.datasets.splits import shared_sources, split
from audiointerp.downloads import download
from audiointerp.errors import ChecksumError, MissingDataError

# ESC-50 began with these folders, in the order of today's targets.
FIRST_FOLDERS = """101 - Dog|102 - Rooster|103 - Pig|104 - Cow|105 - Frog|106 - Cat|107 - Hen|108 - Insects|109 - Sheep
110 - Crow|201 - Rain|202 - Sea waves|203 - Crackling fire|204 - Crickets|205 - Chirping birds|206 - Water drops
207 - Wind|208 - Pouring water|209 - Toilet flush|210 - Thunderstorm|301 - Crying baby|302 - Sneezing|303 - Clapping
304 - Breathing|305 - Coughing|306 - Footsteps|307 - Laughing|308 - Brushing teeth|309 - Snoring
310 - Drinking - sipping|401 - Door knock|402 - Mouse click|403 - Keyboard typing|404 - Door - wood creaks
405 - Can opening|406 - Washing machine|407 - Vacuum cleaner|408 - Clock alarm|409 - Clock tick|410 - Glass breaking
501 - Helicopter|502 - Chainsaw|503 - Siren|504 - Car horn|505 - Engine|506 - Train|507 - Church bells|508 - Airplane
509 - Fireworks|510 - Hand saw""".replace("\n", "|").split("|")
FIRST_ESC10_FOLDERS = """001 - Dog bark|002 - Rain|003 - Sea waves|004 - Baby cry|005 - Clock tick|006 - Person sneeze
007 - Helicopter|008 - Chainsaw|009 - Rooster|010 - Fire crackling""".replace("\n", "|").split("|")

ROWS = [
    ("1-100-A-0.wav", 1, 0, "dog", True, 100, "A"),
    ("1-100-B-0.wav", 1, 0, "dog", True, 100, "B"),
    ("5-200-A-10.wav", 5, 10, "rain", True, 200, "A"),
    ("2-150-A-10.wav", 2, 10, "rain", True, 150, "A"),
    ("3-300-A-36.wav", 3, 36, "vacuum_cleaner", False, 300, "A"),
]
ESC10_NAMES = [row[0] for row in ROWS if row[4]]
COLUMNS = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]


def table_text():
    return pd.DataFrame(ROWS, columns=COLUMNS).to_csv(index=False).encode()


def wav(rate=44100, frames=220500, channels=1, kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((frames, channels), dtype="int16"), rate, format=kind)
    return file.getvalue()


def make_layout(folder, names=tuple(row[0] for row in ROWS)):
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "esc50.csv").write_bytes(table_text())
    (folder / "audio").mkdir()
    for name in names:
        (folder / "audio" / name).write_bytes(b"RIFF")
    return folder


def make_class_folders(folder, labels, count=40, ending="ogg"):
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            (folder / label / f"{i % 5 + 1}-{number}{i:02}-A.{ending}").touch()
    return folder


@pytest.fixture
def site(server, monkeypatch):
    """ESC-50 in small, served from this machine."""
    monkeypatch.setattr(esc, "_RAW", server.url("raw"))
    known = hashlib.sha256(table_text()).hexdigest()
    monkeypatch.setattr(esc, "TABLE", replace(esc.TABLE, urls=(server.url("raw/meta/esc50.csv"),), sha256=known))
    monkeypatch.setattr(esc, "ARCHIVE", replace(esc.ARCHIVE, urls=(server.url("master.zip"),)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.pages["raw/meta/esc50.csv"] = table_text()
    for row in ROWS:
        server.pages[f"raw/audio/{row[0]}"] = wav()
    return server


def serve_archive(site, names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ESC-50-master/meta/esc50.csv", table_text())
        for name in names:
            archive.writestr(f"ESC-50-master/audio/{name}", wav())
    site.pages["master.zip"] = file.getvalue()


def names_of(clips):
    return [Path(path).name for path in clips["path"]]


def test_labels_of_every_edition():
    assert [category_name(folder) for folder in FIRST_FOLDERS] == list(ESC50_LABELS)
    assert sorted(category_name(folder) for folder in FIRST_ESC10_FOLDERS) == list(ESC10_LABELS)
    assert [category_name(label) for label in ESC50_LABELS] == list(ESC50_LABELS)


def test_official_layout(tmp_path):
    folder = make_layout(tmp_path / "ESC-50-master")
    clips = esc.from_esc_layout(folder)
    assert clips["label"].tolist() == ["dog", "dog", "rain", "rain", "vacuum_cleaner"]
    assert names_of(clips)[2:] == ["2-150-A-10.wav", "5-200-A-10.wav", "3-300-A-36.wav"]
    assert clips["fold"].tolist() == [1, 1, 2, 5, 3]
    assert clips["source"].tolist() == ["100", "100", "150", "200", "300"]
    assert all(Path(path).is_file() for path in clips["path"])
    assert esc.from_esc_layout(folder, esc10=True)["label"].tolist() == ["dog", "dog", "rain", "rain"]
    pd.testing.assert_frame_equal(datasets.load(folder), clips)


def test_layout_that_lacks_clips(tmp_path):
    folder = make_layout(tmp_path / "esc50", names=ESC10_NAMES[1:])
    (folder / "audio" / ESC10_NAMES[1]).write_bytes(b"")
    with pytest.raises(MissingDataError, match=r"3 of the 5 clips.*1-100-A-0\.wav.*'audiointerp download esc50'"):
        esc.from_esc_layout(folder)
    with pytest.raises(MissingDataError, match=r"2 of the 4 clips.*'audiointerp download esc10'"):
        esc.from_esc_layout(folder, esc10=True)


@pytest.mark.parametrize("text", [b"", b"<html>404</html>", b"filename,fold\na.wav,1\n", b"\xff\xfe\x00"])
def test_table_that_is_not_one(tmp_path, text):
    folder = make_layout(tmp_path / "esc50")
    (folder / "meta" / "esc50.csv").write_bytes(text)
    with pytest.raises(MissingDataError, match=r"esc50\.csv: not ESC-50's table.*Expected the columns filename, fold"):
        esc.from_esc_layout(folder)


@pytest.mark.parametrize("name", ["esc10", "ESC-10", "ESC-10-master"])
@pytest.mark.parametrize("folders", [ESC10_LABELS, FIRST_ESC10_FOLDERS])
def test_esc10_from_class_folders(tmp_path, name, folders):
    make_class_folders(tmp_path / name, folders)
    clips = esc.load_esc10(tmp_path, download=False)
    assert clips["label"].value_counts().to_dict() == dict.fromkeys(ESC10_LABELS, 40)
    assert clips["label"].is_monotonic_increasing
    assert clips["fold"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 80)


def test_esc50_from_class_folders(tmp_path):
    make_class_folders(tmp_path / "ESC-50", FIRST_FOLDERS)
    assert len(esc.load_esc50(tmp_path, download=False)) == 2000
    assert len(esc.load_esc10(tmp_path, download=False)) == 400


def test_rooster_may_have_38_as_mathworks_publishes_it(tmp_path, recwarn):
    make_class_folders(tmp_path / "esc10", ESC10_LABELS, ending="wav")
    for path in sorted((tmp_path / "esc10" / "rooster").iterdir())[:2]:
        path.unlink()
    assert len(esc.load_esc10(tmp_path, download=False)) == 398
    assert not recwarn.list
    next((tmp_path / "esc10" / "dog").iterdir()).unlink()
    with pytest.warns(UserWarning, match="40 clips a class; found dog 39"):
        esc.load_esc10(tmp_path, download=False)


def test_class_folders_that_lack_a_class(tmp_path):
    make_class_folders(tmp_path / "esc10", ESC10_LABELS[:8])
    with pytest.raises(MissingDataError, match=r"8 of the 10 classes of esc10.*sea_waves, sneezing\."):
        esc.load_esc10(tmp_path, download=False)


@pytest.mark.parametrize(("name", "load"), [("esc10", esc.load_esc10), ("esc50", esc.load_esc50)])
def test_nothing_there(tmp_path, name, load):
    with pytest.raises(MissingDataError) as caught:
        load(tmp_path, download=False)
    for part in (str(tmp_path), f"audiointerp download {name}", "AUDIOINTERP_DATA", 'DATA="synthetic"'):
        assert part in str(caught.value)


def test_data_folder_is_where_the_settings_say(tmp_path, monkeypatch):
    make_layout(tmp_path / "ESC-50-master")
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert names_of(datasets.load("esc10")) == [ESC10_NAMES[i] for i in (0, 1, 3, 2)]
    assert len(datasets.load("esc50", download=False)) == 5


def test_a_whole_copy_is_preferred_to_half_of_one(tmp_path):
    make_layout(tmp_path / "esc10", names=ESC10_NAMES[:1])
    make_layout(tmp_path / "ESC-50-master")
    assert Path(esc.load_esc10(tmp_path, download=False)["path"][0]).parts[-3] == "ESC-50-master"


def test_esc10_is_downloaded_clip_by_clip(site, tmp_path, capsys):
    clips = esc.load_esc10(tmp_path)
    assert sorted(names_of(clips)) == sorted(ESC10_NAMES)
    assert "CC BY 3.0" in capsys.readouterr().out
    assert set(site.hits) == {"raw/meta/esc50.csv", *(f"raw/audio/{name}" for name in ESC10_NAMES)}
    pd.testing.assert_frame_equal(esc.load_esc10(tmp_path, download=False), clips)
    assert set(site.hits.values()) == {1}


def test_esc10_download_goes_on_and_mends(site, tmp_path):
    folder = download("esc10", folder=tmp_path, progress=False)
    (folder / "audio" / ESC10_NAMES[0]).unlink()
    truncated = folder / "audio" / ESC10_NAMES[1]
    truncated.write_bytes(truncated.read_bytes()[:9000])
    assert download("esc10", folder=tmp_path, progress=False) == folder
    assert truncated.stat().st_size == 441044
    assert {name for name, hits in site.hits.items() if hits > 1} == {f"raw/audio/{name}" for name in ESC10_NAMES[:2]}


def test_interrupted_esc10_says_how_to_go_on(site, tmp_path):
    page = f"raw/audio/{ESC10_NAMES[2]}"
    site.pages[page] = 404
    with pytest.raises(MissingDataError, match=r"3 of 4 files.*Run it again.*404"):
        esc.load_esc10(tmp_path)
    with pytest.raises(MissingDataError, match=r"1 of the 4 clips.*'audiointerp download esc10'"):
        esc.load_esc10(tmp_path, download=False)
    site.pages[page] = wav()
    with pytest.warns(UserWarning, match="Downloading what is missing"):
        assert len(esc.load_esc10(tmp_path)) == 4


@pytest.mark.parametrize("bad", [wav(rate=22050), wav(frames=220499), wav(channels=2), wav(kind="FLAC"), b"<html>"])
def test_clip_that_is_not_one(site, tmp_path, bad):
    site.pages[f"raw/audio/{ESC10_NAMES[0]}"] = bad
    with pytest.raises(ChecksumError, match=r"1-100-A-0\.wav.*expected"):
        esc.download_esc10(tmp_path, progress=False)
    assert not (tmp_path / "esc10" / "audio" / ESC10_NAMES[0]).exists()


def test_table_that_was_tampered_with_is_refused(site, tmp_path):
    site.pages["raw/meta/esc50.csv"] = table_text().replace(b"1-100-A", b"../../x")
    with pytest.raises(ChecksumError, match="table of clips"):
        esc.load_esc10(tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_offline(site, tmp_path):
    site.pages.clear()
    with pytest.raises(MissingDataError, match='DATA="synthetic"'):
        esc.load_esc10(tmp_path)
    with pytest.raises(MissingDataError, match=r'ESC-50-master\.zip by hand.*DATA="synthetic"'):
        esc.load_esc50(tmp_path)


def test_class_folders_are_not_downloaded_again(site, tmp_path):
    make_class_folders(tmp_path / "esc10", ESC10_LABELS)
    assert esc.download_esc10(tmp_path) == tmp_path / "esc10"
    assert not site.hits


def test_download_mends_the_whole_copy_if_there_is_one(site, tmp_path):
    make_layout(tmp_path / "esc10", names=ESC10_NAMES[:1])
    make_layout(tmp_path / "ESC-50-master")
    assert esc.download_esc10(tmp_path) == tmp_path / "ESC-50-master"


def test_half_of_the_class_folders_are_named_before_the_download(site, tmp_path):
    make_class_folders(tmp_path / "esc10", ESC10_LABELS[:2])
    with pytest.warns(UserWarning, match="2 of the 10 classes.*Downloading"):
        assert len(esc.load_esc10(tmp_path)) == 4


def test_esc50_is_one_archive_whose_checksum_is_only_reported(site, tmp_path):
    serve_archive(site, [row[0] for row in ROWS])
    with pytest.warns(UserWarning, match=f"expected md5 {esc.ARCHIVE.md5}"):
        clips = esc.load_esc50(tmp_path)
    assert len(clips) == 5
    assert os.listdir(tmp_path) == ["ESC-50-master"]
    assert len(esc.load_esc10(tmp_path, download=False)) == 4
    assert site.hits == {"master.zip": 1}


@pytest.mark.filterwarnings("ignore:.*expected md5")
def test_esc50_archive_that_lacks_clips_is_completed(site, tmp_path):
    serve_archive(site, ESC10_NAMES)
    with pytest.raises(MissingDataError, match=r"1 of the 5 clips.*3-300-A-36\.wav.*'audiointerp download esc50'"):
        esc.load_esc50(tmp_path)
    esc.download_esc50(tmp_path, progress=False)
    assert len(esc.load_esc50(tmp_path, download=False)) == 5
    assert site.hits["raw/audio/3-300-A-36.wav"] == 1
    assert sum(hits for name, hits in site.hits.items() if "audio" in name) == 1


@pytest.mark.filterwarnings("ignore:.*expected md5")
def test_archive_put_there_by_hand_is_used_and_kept(site, tmp_path):
    serve_archive(site, [row[0] for row in ROWS])
    (tmp_path / "ESC-50-master.zip").write_bytes(site.pages["master.zip"])
    assert len(esc.load_esc50(tmp_path)) == 5
    assert (tmp_path / "ESC-50-master.zip").exists()
    assert not site.hits


@pytest.mark.realdata
def test_real_esc10(real_data):
    clips = datasets.load("esc10", download=False)
    assert clips["label"].value_counts().to_dict() == dict.fromkeys(ESC10_LABELS, 40)
    for by in ("order", "fold", "source", "random"):
        train, validation = split(clips, by)
        assert validation["label"].value_counts().to_dict() == dict.fromkeys(ESC10_LABELS, 8)
        assert shared_sources(train, validation).empty == (by != "random")


@pytest.mark.realdata
def test_real_table(real_data, tmp_path):
    table = Path(real_data) / "esc50" / "esc50.csv"
    assert hashlib.sha256(table.read_bytes()).hexdigest() == esc.TABLE.sha256
    rows = pd.read_csv(table)
    assert rows.groupby("target")["category"].unique().str[0].tolist() == list(ESC50_LABELS)
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta").mkdir()
    shutil.copy(table, tmp_path / "meta" / "esc50.csv")
    for name in rows["filename"]:
        (tmp_path / "audio" / name).write_bytes(b"RIFF")
    assert len(esc.from_esc_layout(tmp_path)) == 2000
    official = esc.from_esc_layout(tmp_path, esc10=True)
    local = datasets.load("esc10", download=False)
    pd.testing.assert_frame_equal(official.drop(columns="path"), local.drop(columns="path"))


@pytest.mark.network
def test_official_table_and_one_clip(tmp_path):
    table = esc.fetch(esc.TABLE, tmp_path, progress=False)
    name = pd.read_csv(table)["filename"][0]
    assert esc.fetch(esc._clip(name, "esc50"), tmp_path, progress=False).stat().st_size == 441044
