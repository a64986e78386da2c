"""Runs inside the sandbox: one Python for one session. Reads requests from its
standard input and answers on what was its standard output, both as a length of
four bytes and JSON. What it says is as untrusted as the code that it runs."""

import ast
import io
import json
import linecache
import os
import resource
import signal
import struct
import sys
import traceback
import types

NAME = "<code>"
TEXT_MAX = 224 << 10  # with what is added, less than a result may have
IMAGES_MAX = 4
IMAGE_BYTES_MAX = 768 << 10


def limit(memory, disk, tasks, cpu_seconds):
    """Hard limits: nothing in here can raise them again."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, disk),
        (resource.RLIMIT_NPROC, tasks),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_STACK, 8 << 20),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(10)


def take_channel():
    """Our two ends, away from the numbers that user code writes to."""
    inbox = os.fdopen(os.dup(0), "rb")
    outbox = os.fdopen(os.dup(1), "wb")
    said = os.open("/run", os.O_TMPFILE | os.O_RDWR, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.close(null)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8", errors="replace")
    sys.stderr = open(
        2, "w", closefd=False, encoding="utf-8", errors="replace", buffering=1
    )
    return inbox, outbox, said


def read(inbox):
    head = inbox.read(4)
    if len(head) < 4:
        os._exit(0)
    return json.loads(inbox.read(struct.unpack(">I", head)[0]))


def write(outbox, answer):
    body = json.dumps(answer).encode()
    outbox.write(struct.pack(">I", len(body)) + body)
    outbox.flush()


class TooLong(BaseException):
    """Not an Exception, so that a bare `except Exception` does not eat it."""


def on_alarm(number, frame):
    raise TooLong()


def evaluate(code, space):
    """Like a notebook's cell: the value of a last expression is shown."""
    lines = [line + "\n" for line in code.split("\n")]
    linecache.cache[NAME] = (len(code), None, lines, NAME)
    tree = ast.parse(code, NAME)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, NAME, "exec"), space)
    if last is not None:
        value = eval(compile(last, NAME, "eval"), space)
        if value is not None:
            space["_"] = value
            print(repr(value))


def blame(error):
    """The trace from the user's own first line on."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != NAME:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def run(code, seconds, space):
    try:
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            evaluate(code, space)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return None
    except TooLong:
        return "it took more than %d s and was stopped" % seconds
    except SystemExit as end:
        return None if not end.code else "exit: %s" % (end.code,)
    except MemoryError:
        return "MemoryError: no more memory"
    except BaseException as error:
        return blame(error)


def said_text(said):
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    size = os.fstat(said).st_size
    text = os.pread(said, TEXT_MAX, 0).decode("utf-8", "replace")
    if size > TEXT_MAX:
        text += "\n[%d more bytes of output]" % (size - TEXT_MAX)
    os.ftruncate(said, 0)
    os.lseek(said, 0, os.SEEK_SET)
    return text


def figures():
    plot = sys.modules.get("matplotlib.pyplot")
    if plot is None:
        return
    for index, number in enumerate(plot.get_fignums()):
        image = io.BytesIO()
        plot.figure(number).savefig(image, format="png")
        yield "figure-%d.png" % (index + 1), image.getvalue()
    plot.close("all")


def pictures(since):
    """PNG files in the working folder that this run wrote."""
    for name in sorted(os.listdir(".")):
        path = os.lstat(name)
        if name.endswith(".png") and path.st_mtime_ns >= since:
            if path.st_size <= IMAGE_BYTES_MAX and os.path.isfile(name):
                with open(name, "rb") as file:
                    yield name[:64], file.read(IMAGE_BYTES_MAX + 1)


def images(since):
    found = []
    try:
        for source in (figures(), pictures(since)):
            for name, data in source:
                if len(found) < IMAGES_MAX and len(data) <= IMAGE_BYTES_MAX:
                    found.append({"name": name, "data": data.hex()})
    except Exception as error:
        print("a picture could not be kept:", error, file=sys.stderr)
    return found


def serve(inbox, outbox, said):
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    space = module.__dict__
    clock = os.open("/run", os.O_TMPFILE | os.O_RDWR, 0o600)
    while True:
        request = read(inbox)
        os.utime(clock)
        since = os.fstat(clock).st_mtime_ns
        error = run(request["code"], request["seconds"], space)
        found = images(since)
        write(outbox, {"error": error, "text": said_text(said), "images": found})


limit(*map(int, sys.argv[1:5]))
sys.argv = [""]
serve(*take_channel())
