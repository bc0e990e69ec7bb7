"""Scripts that show what plain python does: discovery, in this process and in workers, has to do the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAD = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(4, width)

    def forward(self, x, scale=None):
        return self.layer(x).relu()


x = torch.ones(2, 4)
"""

PLAIN_SCRIPTS = {
    "arguments": "import sys; print(sys.argv)",
    "main": "print(__name__, __file__, __spec__, __package__, __doc__, sorted(globals()))",
    "main_module": "import sys; print(sys.modules['__main__'].__dict__ is globals())",
    "guard": "if __name__ == '__main__': print('guarded')",
    "path": "import sys, os; print(sys.path[0] == os.path.dirname(os.path.abspath(__file__)))",
    "directory": "import os; print(os.getcwd())",
    "sibling": "import sibling; print(sibling.VALUE, sibling.__file__)",
    "package": "from pack.inner import VALUE; print(VALUE)",
    "files": "open('written.txt', 'w').write('content'); print('done')",
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "no_input": "try:\n    input()\nexcept EOFError:\n    print('end of file')",
    "bytes": "import sys; sys.stdout.buffer.write(bytes(range(256)))",
    "descriptor": "import os; os.write(1, b'raw')",
    "unicode": "print('π ü 漢')",
    "closed": "import sys; print('before'); sys.stdout.close()",
    "closed_descriptors": "import os; print('before', flush=True); os.close(1); os.close(2)",
    "child": "import subprocess, sys; print('a', flush=True); subprocess.run([sys.executable, '-c', 'print(1)'])",
    "exit_0": "import sys; print('a'); sys.exit(0)",
    "exit_none": "raise SystemExit",
    "exit_3": "import sys; sys.exit(3)",
    "exit_text": "import sys; sys.exit('it went wrong')",
    "exit_text_closed": "import sys; sys.stderr.close(); sys.exit('it went wrong')",
    "exit_256": "import sys; sys.exit(256 + 7)",
    "exception": "print('before'); raise ValueError('no')",
    "syntax": "print('never'\n",
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\nraise KeyError(1)",
    "atexit": "import atexit\natexit.register(print, 1)\n@atexit.register\ndef last(): print('first')\nprint('body')",
    "atexit_exit": "import atexit, sys; atexit.register(print, 'bye'); sys.exit(4)",
    "thread": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.3), print('from the thread'))).start()\nprint('main ends')",
    "pool": "from concurrent.futures import ThreadPoolExecutor\n"
    "pool = ThreadPoolExecutor(2); print(list(pool.map(abs, [-1, -2])))",
    "fork": "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('parent' if pid else 'child')",
    "fork_exit": "import os, sys\npid = os.fork()\nif not pid: sys.exit(5)\n"
    "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    "processes": "import multiprocessing\ndef work(x): return x * 2\n"
    "if __name__ == '__main__':\n"
    "    with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(work, [1, 2]))",
    "spawn": "import multiprocessing\ndef work(x): print(x * 2, flush=True)\n"
    "if __name__ == '__main__':\n"
    "    p = multiprocessing.get_context('spawn').Process(target=work, args=(4,)); p.start(); p.join()\n"
    "    print(p.exitcode)",
    "start_method": "import multiprocessing; multiprocessing.set_start_method('spawn'); print('set')",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))).__module__)",
    "source": "import inspect\ndef f(): return 1\nprint(inspect.getsource(f))",
    "traceback": "import traceback\ndef f(): 1 / 0\ntry: f()\nexcept ZeroDivisionError: print(traceback.format_exc())",
    "recursion": "import sys; sys.setrecursionlimit(5000)\ndef f(n): return n and f(n - 1)\nprint(f(4000))",
}

TORCH_SCRIPTS = {
    "calls": """
        # numbers
        torch.manual_seed(0); net = Net(); print(net(torch.randn(2, 4)).detach().numpy().tobytes().hex())

        # training
        torch.manual_seed(1); net = Net(); optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(5):
            optimizer.zero_grad(); net(torch.randn(8, 4)).square().sum().backward(); optimizer.step()
        print(net.layer.weight.detach().numpy().tobytes().hex(), torch.get_rng_state().sum().item())

        # copies
        import copy, io, pickle
        torch.manual_seed(2); net = Net(); net(x)
        file = io.BytesIO(); torch.save(net, file); file.seek(0)
        loaded = torch.load(file, weights_only=False)
        print(copy.deepcopy(net)(x).sum().item(), pickle.loads(pickle.dumps(net))(x).sum().item())
        print(loaded(x).sum().item())
        print(sorted(vars(net)), sorted(vars(Net)), nn.Module.__call__.__name__)

        # modes of torch that are on during a call
        from torch.overrides import TorchFunctionMode
        from torch.utils.flop_counter import FlopCounterMode
        class Names(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                print(func.__name__); return func(*args, **(kwargs or {}))
        net = Net()
        with Names(): net(x)
        with FlopCounterMode(display=False) as flops: net(torch.ones(3, 4))
        print(flops.get_total_flops())

        # warnings
        import warnings
        class Loud(nn.Module):
            def forward(self, x):
                warnings.warn("look", stacklevel=4); return x
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always"); Loud()(x)
        print(caught[0].filename, caught[0].lineno)
    """,
    "graphs": """
        import warnings; warnings.simplefilter("ignore")
        from torch._dynamo.testing import CompileCounter
        from torch._dynamo.utils import counters
        torch.manual_seed(3); counter = CompileCounter()

        class Broken(nn.Module):
            def __init__(self):
                super().__init__(); self.a = Net(); self.b = Net()
            def forward(self, x):
                x = self.a(x); print("break"); return self.b(x) + 1

        net = Broken(); compiled = torch.compile(net, backend=counter)
        for size in (2, 2, 3, 5): print(compiled(torch.ones(size, 4)).sum().item())
        @torch.compile(backend=counter)
        def step(x):
            y = net(x); print("again"); return net(y)
        step(x); step(x); torch._dynamo.reset(); step(x)
        print(counter.frame_count, counter.op_count, dict(counters["frames"]), dict(counters["stats"]))
        print(torch.jit.trace(Net(), x).graph, torch.jit.script(nn.Linear(4, 4)).graph)
        print(torch.export.export(Net(), (x,)).graph, torch.export.export(Net(), (x,), strict=True).graph)
        print(torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU())).code)
    """,
}
"""Few, since each is a process that imports torch."""


def prepare(folder: Path) -> None:
    """The sibling module and the package that some of the scripts import."""
    (folder / "sibling.py").write_text("VALUE = 42\n")
    (folder / "pack").mkdir()
    (folder / "pack" / "inner.py").write_text("VALUE = 43\n")


def python(path: Path, *arguments: str, cwd: Path) -> tuple[bytes, int]:
    """Standard output and exit code under plain python."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, path.name, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return done.stdout, done.returncode
