"""What the Python tools share: which files they may replace, how a file takes its name, how trouble ends in one sentence.

The rule is that of the program itself. A file that it wrote is known by a mark: HDF5 by the root attribute `format`, PNG
by the text `Software`, SVG and PDF by their creator, tables by their first line, TorchScript by `deeppcr.json` in it.
"""
import contextlib
import os
import re
import secrets
import stat
import struct
import sys
import traceback
import zipfile
from pathlib import Path

import h5py

WEIGHTS, PICTURE, TABLE, MODULE = "weights", "picture", "table", "module"
NAMES = {WEIGHTS: "weights file", PICTURE: "picture", TABLE: "table", MODULE: "module"}
DESCRIPTION = "deeppcr.json"  # in a module, by which it is known
# What the weights of this program hold; anything else was added by somebody.
WEIGHTS_MEMBERS = {"layers", "embedding", "head", "cell", "weight_ih", "weight_hh", "bias", "bias_ih", "bias_hh", "peephole"}
HEAD_BYTES = 1 << 16  # where the marks of SVG, PDF and tables are looked for
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Refused(Exception):
    """Something that cannot be done, with a sentence for the user."""


def first_line(error):
    """What an exception says, on one line; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def text(value):
    """A string from an HDF5 attribute or dataset."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# ---- what a file is --------------------------------------------------------------------------------------------------

def kind_of_hdf5(path):
    try:
        # Through Python's own file, since HDF5 would ask for a lock, which some file systems do not have.
        with open(path, "rb") as raw, h5py.File(raw, "r") as file:
            its_format = text(file.attrs.get("format", ""))
            added = sorted(set(file) - WEIGHTS_MEMBERS) if its_format == "deeppcr-weights" else []
    except (OSError, RuntimeError) as error:
        return None, f"HDF5 that cannot be opened: {first_line(error)}"
    if added:
        return None, f"weights of deeppcr to which somebody has added /{added[0]}"
    if its_format.startswith("deeppcr-"):
        return its_format[len("deeppcr-"):], f"HDF5 with the format '{its_format}'"
    return None, "HDF5 of another program"


def png_software(file):
    """The text `Software` of a PNG picture, read from its list of chunks; empty where there is none."""
    file.seek(len(PNG_SIGNATURE))
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == b"tEXt":
            key, _, value = file.read(min(size, HEAD_BYTES)).partition(b"\0")
            if key == b"Software":
                return value
            size -= min(size, HEAD_BYTES)
        file.seek(size + 4, os.SEEK_CUR)
    return b""


def kind_of_archive(path):
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith(f"/extra/{DESCRIPTION}") for name in archive.namelist()):
                return MODULE, "a module of deeppcr"
    except (OSError, zipfile.BadZipFile):
        pass
    return None, "a zip archive, as PyTorch writes them"


def kind_of(path):
    """What wrote a regular file and for what: (kind, words); the kind is None for a file of another program."""
    if h5py.is_hdf5(path):
        return kind_of_hdf5(path)
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(max(0, os.fstat(file.fileno()).st_size - HEAD_BYTES))
        tail = file.read(HEAD_BYTES)
        if head.startswith(PNG_SIGNATURE):
            marked, words = png_software(file).startswith(b"deeppcr-plot"), "a PNG picture"
        elif head.startswith(b"%PDF"):
            marked, words = b"/Creator (deeppcr" in head + tail, "a PDF"
        elif b"<svg" in head:
            marked, words = re.search(rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>deeppcr", head), "an SVG picture"
        elif head.startswith(b"PK\x03\x04"):
            return kind_of_archive(path)
        else:
            return (TABLE, "a table of deeppcr-bench") if head.startswith(b"# deeppcr") else (None, of_no_kind(head))
    return (PICTURE, f"{words} of deeppcr") if marked else (None, f"{words} of another program")


def of_no_kind(head):
    return "data of another program" if b"\0" in head else "text"


def require_file(path):
    """Refuses what cannot be read as a file."""
    if path.is_dir():
        raise Refused("it is a directory")
    if not path.exists():
        raise Refused("there is no such file")
    if not path.is_file():
        raise Refused("it is no regular file")


# ---- what may be replaced --------------------------------------------------------------------------------------------

def refuse_special(path, mode):
    """Only a regular file is ever replaced."""
    if stat.S_ISDIR(mode):
        raise Refused(f"'{path}' is a directory: choose the name of a file")
    for is_it, words in ((stat.S_ISFIFO, "FIFO"), (stat.S_ISSOCK, "socket")):
        if is_it(mode):
            raise Refused(f"'{path}' is a {words}, which is never replaced: choose the name of a file")
    if not stat.S_ISREG(mode):
        raise Refused(f"'{path}' is a device, which is never replaced: choose the name of a file")


def is_same_file(found, path):
    try:
        other = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (other.st_dev, other.st_ino)


def check_output(path, kind, reads=(), force=False):
    """The file that writing to path replaces or makes: path itself or, through links, what it leads to.

    Refused: a directory, a device, a FIFO, a socket; whatever the run reads; without force, a file that is not empty and
    that deeppcr did not write as this kind.
    """
    target = Path(os.path.realpath(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise Refused(f"'{path}' cannot be written: {error.strerror}") from error
    if found:
        refuse_special(path, found.st_mode)
        for read in reads:
            if is_same_file(found, read):
                raise Refused(f"'{path}' is read by this run ('{read}'), so it is not written: choose another name")
    if not target.parent.is_dir():
        raise Refused(f"'{path}' cannot be written: there is no folder '{target.parent}'")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise Refused(f"'{path}' cannot be written: the folder '{target.parent}' is write-protected")
    if found and found.st_size and not force:
        refuse_foreign(path, target, kind)
    return target


def refuse_foreign(path, target, kind):
    try:
        its_kind, words = kind_of(target)
    except OSError as error:
        its_kind, words = None, f"unreadable: {error.strerror}"
    if its_kind != kind:
        raise Refused(f"'{path}' exists and is no {NAMES[kind]} of deeppcr (it is {words}); it is left as it is: "
                      "choose another name, remove it or give --force")


@contextlib.contextmanager
def replacing(path, kind, reads=(), force=False):
    """A new empty file beside what path leads to. It takes that place when the block ends well, else it is removed."""
    target = check_output(path, kind, reads, force)
    temporary = target.with_name(f".deeppcr-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # Much time may have passed: what stands there now is looked at once more.
        os.replace(temporary, check_output(path, kind, reads, force))
    except (OSError, RuntimeError) as error:  # h5py tells of a full disk by either
        raise Refused(f"'{path}' cannot be written: {getattr(error, 'strerror', None) or first_line(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


# ---- how a tool ends -------------------------------------------------------------------------------------------------

def run(program, main):
    """Runs main(). Trouble ends in one line on stderr: code 1, or 3 for a mistake of the tool itself."""
    try:
        main()
    except Refused as error:
        sys.exit(f"{program}: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # pylint: disable=broad-except
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(f"{program}: internal error, please report it: {type(error).__name__}: {first_line(error)} "
              f"({Path(place.filename).name}, line {place.lineno})", file=sys.stderr)
        sys.exit(3)


def report(line):
    """The last line of a tool, on stdout. A report that nobody can read is no success."""
    with contextlib.suppress(AttributeError):  # a name of bytes that are no UTF-8 is printed all the same
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(line, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        raise Refused(f"the file is written, but its report is not: {error.strerror}") from error
