"""Files from the internet: fetched with pooch, checked, moved into place whole."""

import contextlib
import hashlib
import os
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from ..errors import AudioInterpError, ChecksumError, MissingDataError
from .archives import not_written, unpack

_BLOCK = 1 << 16  # bytes
_TIMEOUT = 30  # s
_WORTH_RETRYING = {408, 425, 429}


@dataclass(frozen=True)
class Remote:
    """A published file: where it is, how to know it, whose it is.

    Parameters
    ----------
    name : str
        What a reader calls it.
    urls : tuple of str
        Its address, then mirrors.
    filename : str
        Its path below the folder that it is fetched into.
    licence, citation : str
    sha256, md5, git_blob : str, optional
        The checksums that are known, in hexadecimal; ``git_blob`` is the id that git gives the content.
    strict : bool
        Whether another checksum is an error; otherwise it is a warning.
    structure : callable [path -> str or None], optional
        What is wrong with the file, for files that have no published checksum.
    otherwise : str
        What a reader can do without this file.
    """

    name: str
    urls: tuple[str, ...]
    filename: str
    licence: str
    citation: str
    sha256: str | None = None
    md5: str | None = None
    git_blob: str | None = None
    strict: bool = True
    structure: Callable[[Path], str | None] | None = None
    otherwise: str = ""

    def checksums(self):
        """The known ones, as {kind: hexadecimal}."""
        known = {"sha256": self.sha256, "md5": self.md5, "git_blob": self.git_blob}
        return {kind: value for kind, value in known.items() if value}


def checksum(path, kind="sha256"):
    """Checksum of a file, "sha256", "md5" or the "git_blob" id, in hexadecimal."""
    if kind != "git_blob":
        return pooch.file_hash(str(path), alg=kind)
    digest = hashlib.sha1(b"blob %d\0" % Path(path).stat().st_size)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check(remote, path):
    """Raise a ChecksumError if a file is not the published one, or warn if the remote is not strict."""
    problem = _problem(remote, Path(path))
    if problem and remote.strict:
        raise ChecksumError(f"{path}: {problem}. Remove it and download it again.")
    if problem:
        warnings.warn(f"{path}: {problem}. It is used all the same: it may be another edition.", stacklevel=2)


def check_bytes(content, path, git_blob):
    """Raise a ChecksumError unless bytes read from `path` have this git blob id; for what is opened only if right."""
    got = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if got != git_blob:
        raise ChecksumError(
            f"{path}: expected git_blob {git_blob}, got {got} ({len(content):,} bytes). It was not opened. Remove it "
            "and download it again."
        )


def fetch(remote, folder, *, progress=True, retries=2, pause=1.0):
    """Download a file unless it is there already, and check it.

    What arrives is written beside its place and moved there once it is complete and right; a file that was there
    before stays until then.

    Parameters
    ----------
    remote : Remote
    folder : str or path
    progress : bool
        Show a bar. Without a known checksum, the sha256 of what arrived is printed.
    retries : int
        Further attempts at each address.
    pause : float [s]
        Before the first further attempt; doubled before each next.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    MissingDataError
        If no address could be read to the end, or the file could not be written.
    ChecksumError
        If what arrived is not the published file.
    """
    path = Path(folder).expanduser() / remote.filename
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    failures, mismatches = [], []
    try:
        if path.is_file() and not (remote.strict and _problem(remote, path)):
            check(remote, path)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        for url in remote.urls:
            if failure := _download(url, part, progress, retries, pause):
                failures.append(f"{url}: {failure}")
            elif remote.strict and (problem := _problem(remote, part)):
                mismatches.append(f"{url}: {problem}")
            else:
                os.replace(part, path)
                check(remote, path)
                if progress and not remote.checksums():
                    print(f"{path.name}: no checksum is published; sha256 {checksum(path)}")
                return path
    except OSError as error:
        raise not_written(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    kept = " The file that was there before is not the published one either; it was kept." if path.exists() else ""
    if mismatches:
        raise ChecksumError(
            f"{remote.name}: what arrived is not the published file and was removed ({'; '.join(mismatches)}).{kept} "
            "Try again later; if it stays so, a proxy answers in its place or the publisher has changed the file."
        )
    raise MissingDataError(
        f"{remote.name} could not be downloaded ({'; '.join(failures)}).{kept} Check the connection and try again, or "
        f"put the file at {path} by hand" + (f", or {remote.otherwise}." if remote.otherwise else ".")
    )


def fetch_unpacked(remote, folder, place, *, top, progress=True):
    """Download an archive into a folder and unpack its folder `top` as `place`; one put there by hand is kept."""
    put_there_by_hand = (Path(folder) / remote.filename).exists()
    archive = fetch(remote, folder, progress=progress)
    if progress:
        print(f"Unpacking {archive.name}; this takes a minute.")
    unpack(archive, place, top=top)
    if not put_there_by_hand:
        archive.unlink()


def fetch_many(remotes, folder, *, jobs=8, progress=True, retries=2, pause=1.0):
    """Download many small files at once; those that are there and right are left alone.

    Parameters
    ----------
    remotes : sequence of Remote
    folder : str or path
    jobs : int
        Downloads at a time.
    progress : bool
        Show one bar for all files.
    retries, pause
        As in `fetch`.

    Returns
    -------
    list of pathlib.Path
        In the order asked for.

    Raises
    ------
    MissingDataError, ChecksumError
        If a file could not be had; those that arrived stay. Given up after as many failures as jobs.
    """
    remotes, failures = list(remotes), []
    pool = ThreadPoolExecutor(max_workers=jobs)
    bar = tqdm(total=len(remotes), unit="file", disable=not progress)
    try:
        tasks = [pool.submit(fetch, remote, folder, progress=False, retries=retries, pause=pause) for remote in remotes]
        for task in as_completed(tasks):
            if error := task.exception():
                failures.append(error)
            else:
                bar.update()
            if len(failures) >= jobs:
                break
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
    if not failures:
        return [task.result() for task in tasks]
    first = failures[0]
    if not isinstance(first, AudioInterpError):
        raise first
    arrived = sum(task.done() and not task.cancelled() and not task.exception() for task in tasks)
    raise type(first)(
        f"{arrived} of {len(remotes)} files arrived in {folder}. Run it again and it goes on from there. "
        f"First failure: {first}"
    ) from first


def _problem(remote, path):
    """What tells the file at ``path`` from the published one, or None."""
    for kind, expected in remote.checksums().items():
        got = checksum(path, kind)
        if got != expected:
            return f"expected {kind} {expected}, got {got} ({path.stat().st_size:,} bytes)"
    return remote.structure(path) if remote.structure else None


def _download(url, part, progress, retries, pause):
    """Write what ``url`` answers to ``part``; why that failed, or None."""
    failure = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        # pooch takes a bar whose truth value is that of its total, and writes the announced length there.
        name = url.rsplit("/", 1)[-1]
        bar = tqdm(total=1, desc=name, unit="B", unit_scale=True, leave=False, disable=not progress)
        # Compressed on the way, the announced length would not be the file's.
        download = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=_BLOCK, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        try:
            download(url, str(part), None)
            got = part.stat().st_size
            if got and got >= bar.total:
                return None
            failure = f"the connection broke off after {got:,} bytes of {bar.total:,}"
        except requests.HTTPError as error:
            status = error.response.status_code
            failure = f"the server answered {status} {error.response.reason}"
            if 400 <= status < 500 and status not in _WORTH_RETRYING:
                break
        except requests.Timeout:
            failure = f"no answer within {_TIMEOUT} s"
        except requests.exceptions.ChunkedEncodingError:
            failure = "the connection broke off"
        except requests.ConnectionError:
            failure = "no connection"
        except requests.RequestException as error:
            failure = str(error)
        finally:
            bar.close()
    return failure
