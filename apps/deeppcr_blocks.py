"""Blocks of a PyTorch network as one TorchScript module: a step of the chain, and the weights of all steps in stacks."""
import copy
import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from pathlib import Path

from deeppcr_files import DESCRIPTION, Refused, first_line
from deeppcr_layers import note
from deeppcr_tensors import import_torch

SAMPLES = 2  # of the states on which a block is tried
STEP_NAMES = ("l", "t", "step")
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}  # of script against Python


# ---- the user's function ---------------------------------------------------------------------------------------------

def place_of(error, file):
    """', net.py line 12' for the innermost line of that file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f" ({Path(file).name} line {lines[-1]})" if lines else ""


def load_module(name):
    """net.py or folder/net.py by its path, anything else by its name."""
    sys.dont_write_bytecode = True
    path = Path(name)
    if path.suffix != ".py":
        sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(name)
    if not path.is_file():
        raise Refused("there is no such file")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # TorchScript looks for the source there
    spec.loader.exec_module(module)
    return module


def call_function(source):
    """What FILE.py:function returns, and the file. It is the user's code: whatever it does, one sentence."""
    name, _, function = source.rpartition(":")
    if not name or not function.isidentifier():
        raise Refused("it must be FILE.py:function or module:function")
    file = Path(name).resolve()
    try:
        module = load_module(name)
        file = getattr(module, "__file__", file)
        found = getattr(module, function, None)
        if not callable(found):
            raise Refused(f"there is no function {function}")
        return found(), str(file)
    except Refused:
        raise
    except (Exception, SystemExit) as error:  # pylint: disable=broad-except
        raise Refused(f"{type(error).__name__}: {first_line(error)}{place_of(error, file)}") from error


def sizes(value, what):
    """A tuple of sizes from 1 on, of '3,8,8', numbers or one number."""
    words = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    try:
        shape = tuple(int(word) for word in words)
    except (TypeError, ValueError) as error:
        raise Refused(f"{what} is {value!r}; sizes such as 3,8,8 are needed") from error
    if not shape or min(shape) < 1:
        raise Refused(f"{what} is {value!r}; sizes from 1 on are needed")
    return shape


class Wanted:
    """What the function returned and the options say: blocks, whether they share their weights, steps, shapes."""

    def __init__(self, value, options):
        nn = import_torch().nn
        value = value if isinstance(value, tuple) else (value,)
        blocks, shape, steps = (*value, None, None)[:3]
        if len(value) > 3:
            raise Refused(f"the function returns {len(value)} values; blocks, shape, steps are the most")
        shape, steps = options.shape or shape, steps if options.steps is None else options.steps
        if shape is None:
            raise Refused("the shape of a state is open: return it beside the blocks, or give --shape 3,8,8")
        self.shape = sizes(shape, "the shape")
        self.input_shape = sizes(options.input_shape, "--input-shape") if options.input_shape else None
        self.shared = isinstance(blocks, nn.Module) and not isinstance(blocks, nn.ModuleList)
        if isinstance(blocks, nn.Sequential) and steps is None:
            raise Refused("the function returns nn.Sequential, a chain of blocks or one step of a chain: return list(blocks), "
                          "or give --steps L where it is one step")
        if steps is not None and (not isinstance(steps, int) or steps < 1):
            raise Refused(f"the number of steps is {steps!r}; a whole number from 1 on is needed")
        self.blocks = [blocks] if self.shared else list(blocks) if isinstance(blocks, (list, nn.ModuleList)) else []
        if not self.blocks or not all(isinstance(block, nn.Module) for block in self.blocks):
            raise Refused("the function returns no list of nn.Module blocks and no nn.Module, but "
                          + (f"an empty {type(blocks).__name__}" if blocks in ([], ()) else f"'{type(blocks).__name__}'"))
        if not self.shared and steps not in (None, len(self.blocks)):
            raise Refused(f"there are {len(self.blocks)} blocks, but {steps} steps; --steps is for one module that all share")
        self.steps = steps if self.shared else len(self.blocks)


# ---- what can be a step ----------------------------------------------------------------------------------------------

def check_scriptable(block):
    """Names what TorchScript would refuse in words that do not help."""
    for name, module in block.named_modules():
        where = f"'{name}' ({type(module).__name__})" if name else f"the module ({type(module).__name__})"
        if hasattr(module, "parametrizations"):
            raise Refused(f"{where} is parametrised, which cannot be scripted; call "
                          "torch.nn.utils.parametrize.remove_parametrizations() first")
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]  # pylint: disable=protected-access
        if hooks:
            kind = type(hooks[0]).__name__
            remedy = {"WeightNorm": "torch.nn.utils.remove_weight_norm()", "SpectralNorm": "torch.nn.utils.remove_spectral_norm()"}
            raise Refused(f"{where} has the hook {kind}, which cannot be scripted; "
                          + (f"call {remedy[kind]} first" if kind in remedy else "remove it first"))
        for attribute, value in vars(module).items():
            if inspect.isfunction(value) and value.__name__ == "<lambda>":
                raise Refused(f"{where} has a lambda, '{attribute}', which cannot be scripted; write it as a method or use a "
                              "module such as nn.Tanh()")
        for parameter in inspect.signature(module.forward).parameters.values():
            if name == "" and parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                raise Refused(f"the forward of {where} takes {parameter}, which cannot be scripted; name what it takes")


def second_of(block, wanted):
    """What forward takes beside the state: None, 'step' or 'input'."""
    needed = [p for p in inspect.signature(block.forward).parameters.values() if p.default is p.empty]
    if len(needed) not in (1, 2):
        raise Refused(f"forward takes {len(needed)} arguments; forward(self, z), (self, z, l) or (self, z, x) are possible")
    if len(needed) == 1:
        if wanted.input_shape:
            raise Refused("--input-shape is given, but forward takes the state alone")
        return None
    if wanted.input_shape:
        return "input"
    if needed[1].name in STEP_NAMES:
        return "step"
    raise Refused(f"forward takes '{needed[1].name}' beside the state: give --input-shape 10 where it is an input of the step, "
                  "or call it l where it is the step's number")


def script(block):
    """The block as TorchScript; it stays as it was."""
    torch = import_torch()
    try:
        return torch.jit.script(copy.deepcopy(block))
    except Exception as error:  # TorchScript raises many kinds
        place = re.search(r'File "([^"]*)", line (\d+)', str(error))
        where = f" ({Path(place[1]).name} line {place[2]})" if place else ""
        raise Refused(f"it cannot be scripted: {first_line(error).rstrip(':')}{where}") from error


def dtype_of(block):
    torch = import_torch()
    found = [tensor.dtype for tensor in [*block.parameters(), *block.buffers()] if tensor.is_floating_point()]
    return found[0] if found else torch.get_default_dtype()


class Trial:
    """States, and what goes with them, on which blocks are tried."""

    def __init__(self, wanted, second, dtype):
        torch = import_torch()
        random = torch.Generator().manual_seed(1)
        self.dtype = dtype
        self.state = torch.randn(SAMPLES, *wanted.shape, generator=random, dtype=torch.float64).to(dtype)
        self.more = {None: lambda step: (), "step": lambda step: (torch.full((SAMPLES,), step, dtype=torch.int64),),
                     "input": lambda step: (self.input,)}[second]
        if second == "input":
            self.input = torch.randn(SAMPLES, *wanted.input_shape, generator=random, dtype=torch.float64).to(dtype)

    def run(self, block, step, what):
        """What the block makes of them. @raise Refused where it is no state"""
        torch = import_torch()
        try:
            with torch.no_grad():
                made = block(self.state.clone(), *self.more(step))
        except Exception as error:
            text = [line for line in str(error).splitlines() if line.strip()]
            last = text[-1] if "most recent call last" in str(error) else first_line(error)
            raise Refused(f"{what} fails on states of {list(self.state.shape)} (the first size is that of samples): "
                          f"{last}") from error
        if not isinstance(made, torch.Tensor):
            raise Refused(f"{what} gives a {type(made).__name__}; the next state, a tensor, is needed")
        if made.shape != self.state.shape:
            raise Refused(f"{what} makes states of {list(made.shape)} of states of {list(self.state.shape)}; the shape must stay")
        if made.dtype != self.dtype:
            raise Refused(f"{what} makes {made.dtype} of {self.dtype}; the type must stay")
        return made


def check_alike(blocks):
    """The blocks must have tensors of the same names, sizes and types."""
    first = {name: (list(tensor.shape), tensor.dtype) for name, tensor in blocks[0].state_dict().items()}
    for index, block in enumerate(blocks):
        held = {name: (list(tensor.shape), tensor.dtype) for name, tensor in block.state_dict().items()}
        odd = sorted(name for name in held.keys() | first.keys() if held.get(name) != first.get(name))
        if not odd:
            continue
        said = ["without it" if words is None else f"{words[0]} of {words[1]}" for words in (first.get(odd[0]), held.get(odd[0]))]
        raise Refused(f"blocks 0 and {index} differ in '{odd[0]}': {said[0]} and {said[1]}; all blocks of a chain must be alike")


def is_close(found, expected):
    """To rounding, relative to the largest number."""
    largest = expected.nan_to_num().abs().max().item() if expected.numel() else 0.0
    limit = TOLERANCE[str(expected.dtype).replace("torch.", "")] * max(largest, 1.0)
    return import_torch().allclose(found, expected, rtol=0.0, atol=limit, equal_nan=True)


def check_same(step, blocks, trial):
    """The one scripted step with the weights of each block must compute what that block does."""
    for index, block in enumerate(blocks):
        what = f"block {index}" if len(blocks) > 1 else "the block"
        expected = trial.run(block, index, what)
        step.load_state_dict(block.state_dict())
        found = trial.run(step, index, f"the script of {what}")
        if not is_close(found, expected):
            raise Refused(f"{what} computes something else than block 0 does with the same weights: numbers of its own that are "
                          "no parameter or buffer (register_buffer), or random ones")
    step.load_state_dict(blocks[0].state_dict())


def set_to_eval(blocks):
    """What differs between training and evaluation is switched to evaluation, and said."""
    nn = import_torch().nn
    kinds = sorted({type(module).__name__ for block in blocks for module in block.modules() if module.training
                    and isinstance(module, (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm))})
    for block in blocks:
        block.eval()
    if kinds:
        note(f"eval() is called: {', '.join(kinds)} in training would make the steps random or mix their samples")


def run_end(end, inputs, what):
    """What a module makes of samples, in any shape."""
    torch = import_torch()
    try:
        with torch.no_grad():
            made = end(inputs.clone())
    except Exception as error:
        raise Refused(f"{what} fails on inputs of {list(inputs.shape)} (the first size is that of samples): "
                      f"{first_line(error)}") from error
    if not isinstance(made, torch.Tensor) or made.dim() < 2 or len(made) != SAMPLES or made.dtype != inputs.dtype:
        raise Refused(f"{what} gives {describe(made)} of {describe(inputs)}; one row a sample of the same type is needed")
    return made


def describe(value):
    return f"{value.dtype} {list(value.shape)}" if hasattr(value, "dtype") else f"a {type(value).__name__}"


# ---- the file --------------------------------------------------------------------------------------------------------

def stacks_of(blocks):
    """Names of the tensors that differ from step to step, those of them that are buffers, and the stacks [L, ..]."""
    torch = import_torch()
    states = [block.state_dict() for block in blocks]
    names, buffers, stacks = [], [], []
    for name, first in blocks[0].state_dict(keep_vars=True).items():
        stack = torch.stack([state[name] for state in states])
        is_parameter = isinstance(first, torch.nn.Parameter)
        if is_parameter or bool((stack != stack[:1]).any()):
            if not is_parameter:
                buffers.append(name)
            names.append(name)
            stacks.append(stack)
    return names, buffers, stacks


def holder_of(step, stacks):
    """The module that is written: `step`, and buffers stack0, stack1, .."""
    torch = import_torch()

    class Chain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.step = step

    chain = Chain()
    for index, stack in enumerate(stacks):
        chain.register_buffer(f"stack{index}", stack.contiguous())
    return torch.jit.script(chain.eval())


def written(step, stacks, about):
    """The bytes of the file."""
    return holder_of(step, stacks).save_to_buffer(_extra_files={DESCRIPTION: json.dumps({"format": 1, **about}).encode()})


def end_of_chain(source, options):
    """As chain_of_blocks(), of one module at the end of a chain: from inputs of one shape to outputs of any."""
    torch = import_torch()
    value, read = call_function(source)
    end, shape = (*value, None)[:2] if isinstance(value, tuple) else (value, None)
    if not isinstance(end, torch.nn.Module):
        raise Refused(f"the function returns no nn.Module, but '{type(end).__name__}'")
    shape = options.shape or shape
    if shape is None:
        raise Refused("the shape of an input is open: return it behind the module, or give --shape 1,28,28")
    set_to_eval([end])
    check_scriptable(end)
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, *sizes(shape, "the shape"), generator=random, dtype=torch.float64).to(dtype_of(end))
    made, step = run_end(end, inputs, "the module"), script(end)
    if not is_close(run_end(step, inputs, "the script of the module"), made):
        raise Refused("the script of the module computes something else than the module, by random numbers perhaps")
    about = {"end": True, "input_shape": list(inputs.shape[1:]), "shape": list(made.shape[1:])}
    said = ["x".join(map(str, about[name])) for name in ("input_shape", "shape")]
    return written(step, [], about), f"from {said[0]} to {said[1]}, {sum(p.numel() for p in end.parameters())} parameters", [read]


def chain_of_blocks(source, options):
    """The bytes of the file, its summary, and the files that were read."""
    import_torch()
    value, read = call_function(source)
    wanted = Wanted(value, options)
    set_to_eval(wanted.blocks)
    check_scriptable(wanted.blocks[0])
    second = second_of(wanted.blocks[0], wanted)
    check_alike(wanted.blocks)
    trial = Trial(wanted, second, dtype_of(wanted.blocks[0]))
    trial.run(wanted.blocks[0], 0, "block 0" if len(wanted.blocks) > 1 else "the block")
    step = script(wanted.blocks[0])
    check_same(step, wanted.blocks, trial)
    names, buffers, stacks = ([], [], []) if wanted.shared else stacks_of(wanted.blocks)
    about = {"shape": wanted.shape, "shared": wanted.shared, "stacks": names, "buffers": buffers}
    about.update({key: item for key, item in (("steps", wanted.steps), ("second", second), ("input_shape", wanted.input_shape))
                  if item is not None})
    numbers = sum(tensor.numel() for tensor in stacks or wanted.blocks[0].state_dict().values())
    steps = f"{wanted.steps} steps" if wanted.steps else "steps"
    return written(step, stacks, about), (f"{steps} of states {'x'.join(map(str, wanted.shape))}, {numbers} numbers"
                  + (" that all steps share" if wanted.shared else "")), [read]
