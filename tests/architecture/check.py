#!/usr/bin/python3
"""Checks the architecture of the sources: check.py ROOT | check.py --self-test

Rules: a module includes only modules below it, siblings do not see each other, and nobody the headers that stand beside
another module's sources (apps/bench, which measures the parts, excepted); public headers include public ones; <mpi.h> and PETSc's and HDF5's headers
appear only where they belong; MPI_COMM_WORLD appears once; files stay short.
"""
import re
import sys
import tempfile
from pathlib import Path

# The order of the rooms, lowest first; modules of one row are siblings. The last is a program, apps/bench.
ROOMS = [["core"], ["petsc"], ["parallel"], ["plan"], ["blocks"], ["sequence"], ["linear", "models"],
         ["nonlinear"], ["train", "io", "cli"], ["app"], ["bench"]]
LEVEL = {module: level for level, row in enumerate(ROOMS) for module in row}

# Which modules may include the headers of a library.
ALLOWED = [
    (re.compile(r"mpi\.h"), {"parallel", "petsc", "io", "bench"}),
    (re.compile(r"petsc\w*\.h"),
     {"petsc", "parallel", "blocks", "sequence", "linear", "nonlinear", "bench"}),
    (re.compile(r"hdf5\w*\.h|H5\w*\.h"), {"io"}),
    (re.compile(r"boost/program_options.*"), {"cli"}),
    (re.compile(r"torch/.*|ATen/.*"), {"models", "bench"}),
]

MAX_LINES = {".hpp": 150, ".cpp": 400}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def check_include(module, header, public=False):
    """The sentence that is wrong with one include, or None."""
    private = re.fullmatch(r"(\w+)/\w+\.hpp", header)
    if private and private.group(1) in LEVEL:
        if public:
            return f"includes {header}, which is not installed"
        if module not in (private.group(1), "bench"):
            return f"includes {header}, which belongs to {private.group(1)} alone"
    own = re.match(r"deeppcr/(\w+)/", header)
    if own:
        other = own.group(1)
        if other not in LEVEL:
            return f"includes {header}, but there is no module {other}"
        if other != module and LEVEL[other] >= LEVEL[module]:
            where = "beside" if LEVEL[other] == LEVEL[module] else "above"
            return f"includes {header}: {other} stands {where} {module}"
    for pattern, modules in ALLOWED:
        if pattern.fullmatch(header) and module not in modules:
            return f"includes <{header}>, which belongs to {', '.join(sorted(modules))} only"
    return None


def check_file(path, module, text):
    """All faults of one file, as sentences."""
    lines = text.count("\n")
    faults = []
    if lines > MAX_LINES[path.suffix]:
        faults.append(f"has {lines} lines; at most {MAX_LINES[path.suffix]} are allowed")
    faults += filter(None, (check_include(module, header, "include" in path.parts) for header in INCLUDE.findall(text)))
    return [f"{path}: {fault}" for fault in faults]


def check_tree(root):
    """All faults of the sources below root; also how many files were read."""
    faults, world, count = [], [], 0
    for base in (root / "include/deeppcr", root / "src", root / "apps/bench"):
        for path in sorted(base.rglob("*.[ch]pp")):
            module = "bench" if base.name == "bench" else path.relative_to(base).parts[0]
            if module not in LEVEL:
                faults.append(f"{path}: {module} is no module; known: {', '.join(LEVEL)}")
                continue
            text = path.read_text(encoding="utf-8")
            count += 1
            faults += check_file(path, module, text)
            world += [path] * COMMENT.sub("", text).count("MPI_COMM_WORLD")
    if len(world) != 1:
        faults.append(f"MPI_COMM_WORLD appears {len(world)} times, must be once: "
                      + ", ".join(map(str, world)))
    return faults, count


def self_test():
    """A sound tree passes, and each kind of made-up violation is found."""
    sound = {"src/parallel/communicator.cpp": "#include <mpi.h>\nauto w = MPI_COMM_WORLD;\n",
             "include/deeppcr/linear/pcr.hpp": '#include "deeppcr/blocks/gemm.hpp"\n'}
    violations = {
        "stands above": ("src/core/x.cpp", '#include "deeppcr/io/trace.hpp"\n'),
        "stands beside": ("src/models/x.cpp", '#include "deeppcr/linear/pcr.hpp"\n'),
        "no module solver": ("src/app/x.cpp", '#include "deeppcr/solver/x.hpp"\n'),
        "is no module": ("src/utilities/x.cpp", "\n"),
        "includes <mpi.h>": ("include/deeppcr/models/x.hpp", "#include <mpi.h>\n"),
        "includes <petscvec.h>": ("src/app/x.cpp", "#  include <petscvec.h>\n"),
        "includes <hdf5.h>, which": ("apps/bench/x.cpp", "#include <hdf5.h>\n"),
        "includes <torch/script.h>": ("src/sequence/x.cpp", "#include <torch/script.h>\n"),
        "includes <hdf5.h>": ("src/nonlinear/x.cpp", "#include <hdf5.h>\n"),
        "appears 2 times": ("src/petsc/x.cpp", "auto w = MPI_COMM_WORLD;\n"),
        "which is not installed": ("include/deeppcr/blocks/x.hpp", '#include "blocks/y.hpp"\n'),
        "belongs to blocks alone": ("src/linear/x.cpp", '#include "blocks/y.hpp"\n'),
        "has 151 lines": ("include/deeppcr/core/x.hpp", "\n" * 151),
        "has 401 lines": ("src/core/x.cpp", "\n" * 401),
    }
    for expected, extra in [(None, None), *violations.items()]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**sound, **dict([extra] if extra else [])}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            faults, _ = check_tree(Path(folder))
        if expected is None and faults:
            return f"the sound tree was refused: {faults}"
        if expected is not None and not (len(faults) == 1 and expected in faults[0]):
            return f"'{expected}' was not found as the one fault of {extra[0]}: {faults}"
    print(f"{len(violations)} made-up violations found")
    return None


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    faults, count = check_tree(Path(sys.argv[1]))
    if count == 0:
        faults.append(f"no sources below {sys.argv[1]}")
    if faults:
        sys.exit("\n".join(faults))
    print(f"{count} files keep the rules")


if __name__ == "__main__":
    main()
