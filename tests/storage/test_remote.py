import errno
import hashlib
import os
import socket
import threading

import pooch
import pytest

from audiointerp.errors import ChecksumError, MissingDataError
from audiointerp.storage import remote as remote_module
from audiointerp.storage.remote import Remote, check, checksum, fetch, fetch_many

CONTENT = b"some weights " * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def make_remote(*urls, filename="weights.h5", **fields):
    return Remote(
        name="the weights",
        urls=urls,
        filename=filename,
        licence="CC0",
        citation="none",
        otherwise='run with DATA="synthetic"',
        **fields,
    )


def get(remote, folder, **options):
    return fetch(remote, folder, progress=False, pause=0, **options)


def everything_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_git_blob_id_is_what_git_prints(tmp_path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert checksum(path, "git_blob") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert checksum(path, "md5") == "b1946ac92492d2347c6235b4d2611184"
    assert checksum(path) == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


KNOWN = {
    "sha256": SHA256,
    "md5": hashlib.md5(CONTENT).hexdigest(),
    "git_blob": hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest(),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_fetch_once(server, tmp_path, kind):
    server.pages["weights.h5"] = CONTENT
    remote = make_remote(server.url("weights.h5"), **{kind: KNOWN[kind]})
    path = get(remote, tmp_path / "data" / "weights")
    assert path == tmp_path / "data" / "weights" / "weights.h5"
    assert path.read_bytes() == CONTENT
    assert get(remote, tmp_path / "data" / "weights") == path
    assert server.hits["weights.h5"] == 1
    assert everything_in(tmp_path) == [path]


@pytest.mark.parametrize("kind", KNOWN)
def test_wrong_checksum_leaves_nothing(server, tmp_path, kind):
    server.pages["weights.h5"] = b"<html>log in to the network</html>"
    remote = make_remote(server.url("weights.h5"), **{kind: KNOWN[kind]})
    with pytest.raises(ChecksumError, match=f"removed .*expected {kind} {KNOWN[kind]}, got .*Try again"):
        get(remote, tmp_path)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("first", [404, b"not it", "cut"])
def test_mirror_is_used(server, cut, tmp_path, first):
    server.pages = {"first": cut(CONTENT, 1000) if first == "cut" else first, "mirror": CONTENT}
    path = get(make_remote(server.url("first"), server.url("mirror"), sha256=SHA256), tmp_path)
    assert path.read_bytes() == CONTENT
    assert everything_in(tmp_path) == [path]


def test_not_found_is_not_tried_again(server, tmp_path):
    remote = make_remote(server.url("weights.h5"), sha256=SHA256)
    with pytest.raises(MissingDataError) as caught:
        get(remote, tmp_path)
    for part in ("the weights", remote.urls[0], "404", str(tmp_path / "weights.h5"), 'DATA="synthetic"', "try again"):
        assert part in str(caught.value)
    assert server.hits["weights.h5"] == 1


@pytest.mark.parametrize("status", [503, 429])
def test_busy_server_is_tried_again(server, tmp_path, status):
    server.pages["weights.h5"] = lambda hit: CONTENT if hit == 3 else status
    assert get(make_remote(server.url("weights.h5")), tmp_path, retries=2).read_bytes() == CONTENT
    assert server.hits["weights.h5"] == 3


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}])
@pytest.mark.parametrize("after", [0, 100_000])
def test_connection_that_breaks_off_leaves_nothing(server, cut, tmp_path, known, after):
    server.pages["weights.h5"] = cut(CONTENT, after)
    with pytest.raises(MissingDataError, match="broke off"):
        get(make_remote(server.url("weights.h5"), **known), tmp_path, retries=1)
    assert server.hits["weights.h5"] == 2
    assert everything_in(tmp_path) == []


def test_short_answer_is_noticed_even_if_the_client_does_not(tmp_path, monkeypatch):
    def silent(self, url, output_file, _):
        self.progressbar.total = len(CONTENT)
        with open(output_file, "wb") as file:
            file.write(CONTENT[:100])

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", silent)
    with pytest.raises(MissingDataError, match="broke off after 100 bytes of 260,000"):
        get(make_remote("http://127.0.0.1/weights"), tmp_path)
    assert everything_in(tmp_path) == []


def test_connection_that_breaks_off_once(server, cut, tmp_path):
    server.pages["weights.h5"] = lambda hit: cut(CONTENT, 500) if hit == 1 else CONTENT
    assert get(make_remote(server.url("weights.h5")), tmp_path).read_bytes() == CONTENT


def test_no_network(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights.h5"
        with pytest.raises(MissingDataError, match="no connection"):
            get(make_remote(url), tmp_path)


def test_server_that_never_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_module, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.h5"
        with pytest.raises(MissingDataError, match=r"no answer within 0\.2 s"):
            get(make_remote(url), tmp_path, retries=0)


def test_wrong_file_is_replaced(server, tmp_path):
    server.pages["weights.h5"] = CONTENT
    (tmp_path / "weights.h5").write_bytes(b"half")
    assert get(make_remote(server.url("weights.h5"), sha256=SHA256), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(("answer", "error"), [(404, MissingDataError), (b"not it", ChecksumError)])
def test_wrong_file_is_kept_until_a_right_one_is_there(server, tmp_path, answer, error):
    server.pages["weights.h5"] = answer
    (tmp_path / "weights.h5").write_bytes(b"mine")
    with pytest.raises(error, match="it was kept"):
        get(make_remote(server.url("weights.h5"), sha256=SHA256), tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == b"mine"
    assert len(everything_in(tmp_path)) == 1


def test_mismatch_that_is_only_reported(server, tmp_path):
    server.pages["weights.h5"] = b"a newer edition"
    remote = make_remote(server.url("weights.h5"), md5=KNOWN["md5"], strict=False)
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"expected md5 {KNOWN['md5']}, got .*used all the same"):
            path = get(remote, tmp_path)
    assert path.read_bytes() == b"a newer edition"
    assert server.hits["weights.h5"] == 1


def test_file_without_checksum_prints_its_own(server, tmp_path, capsys):
    server.pages["weights.h5"] = CONTENT
    fetch(make_remote(server.url("weights.h5")), tmp_path)
    output = capsys.readouterr()
    assert f"sha256 {SHA256}" in output.out
    assert "weights.h5" in output.err


def test_structure_is_checked(server, tmp_path):
    server.pages["weights.h5"] = b"short"
    remote = make_remote(
        server.url("weights.h5"), structure=lambda path: None if path.stat().st_size > 9 else "too short"
    )
    with pytest.raises(ChecksumError, match="too short"):
        get(remote, tmp_path)
    assert everything_in(tmp_path) == []
    server.pages["weights.h5"] = b"long enough"
    assert get(remote, tmp_path).read_bytes() == b"long enough"


def test_check_of_a_file_put_there_by_hand(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(CONTENT)
    check(make_remote(sha256=SHA256), path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ChecksumError, match=r"weights\.h5: expected sha256 .*download it again"):
        check(make_remote(sha256=SHA256), path)


@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), MissingDataError, "disk is full"),
        (OSError(errno.EACCES, "Permission denied"), MissingDataError, "cannot be written .Permission denied"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, failure, error, text):
    def half(self, url, output_file, _):
        with open(output_file, "wb") as file:
            file.write(CONTENT[:100])
        raise failure

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", half)
    with pytest.raises(error, match=text):
        get(make_remote("http://127.0.0.1/weights"), tmp_path)
    assert everything_in(tmp_path) == []


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(MissingDataError, match="cannot be written"):
        get(make_remote(server.url("weights.h5")), tmp_path / "data")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_others_may_read_what_was_downloaded(server, tmp_path):
    server.pages["weights.h5"] = CONTENT
    before = os.umask(0o022)
    try:
        path = get(make_remote(server.url("weights.h5")), tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def many(server, count):
    for i in range(count):
        server.pages[f"{i}.wav"] = b"sound %d" % i
    return [make_remote(server.url(f"{i}.wav"), filename=f"audio/{i}.wav") for i in range(count)]


def get_many(remotes, folder, **options):
    return fetch_many(remotes, folder, progress=False, pause=0, **options)


def test_fetch_many_goes_on_where_it_stopped(server, tmp_path):
    remotes = many(server, 12)
    paths = get_many(remotes, tmp_path)
    assert [path.read_bytes() for path in paths] == [b"sound %d" % i for i in range(12)]
    paths[3].unlink()
    paths[7].unlink()
    assert get_many(remotes, tmp_path) == paths
    assert {name for name, hits in server.hits.items() if hits == 2} == {"3.wav", "7.wav"}


def test_fetch_many_downloads_at_the_same_time(server, tmp_path):
    together = threading.Barrier(4, timeout=10)
    remotes = many(server, 4)
    server.pages = {name: lambda hit, page=page: together.wait() < 4 and page for name, page in server.pages.items()}
    assert len(get_many(remotes, tmp_path, jobs=4, retries=0)) == 4


def test_fetch_many_keeps_what_arrived(server, tmp_path):
    remotes = many(server, 6)
    server.pages["2.wav"] = 404
    with pytest.raises(MissingDataError, match=r"5 of 6 files arrived.*Run it again.*2\.wav"):
        get_many(remotes, tmp_path)
    server.pages["2.wav"] = b"sound 2"
    assert len(get_many(remotes, tmp_path)) == 6
    assert sum(server.hits.values()) == 7


def test_fetch_many_gives_up_when_nothing_arrives(server, tmp_path):
    remotes = many(server, 200)
    server.pages = {}
    with pytest.raises(MissingDataError, match="0 of 200"):
        get_many(remotes, tmp_path, jobs=4)
    assert sum(server.hits.values()) < 40


def test_fetch_many_shows_one_bar(server, tmp_path, capsys):
    fetch_many(many(server, 5), tmp_path)
    shown = capsys.readouterr()
    assert "5/5" in shown.err
    assert shown.out == ""
