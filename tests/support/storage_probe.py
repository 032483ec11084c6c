"""The C++ storage, driven through tests/tune/storage_probe.cpp."""
import json
import math
import subprocess


class StorageError(Exception):
    def __init__(self, kind, message):
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class StorageProbe:
    """probe("create_trial", study=1) -> the answer; raises StorageError."""

    def __init__(self, program, url, patience=20, **popen):
        self.process = subprocess.Popen([program, url, str(patience)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, **popen)
        try:
            self.read()
        except StorageError:
            self.close()
            raise

    def send(self, do, **arguments):
        print(json.dumps({"do": do, **arguments}, allow_nan=False), file=self.process.stdin, flush=True)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise StorageError("dead", f"the probe ended: {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise StorageError(answer["kind"], answer["error"])
        return answer["ok"]

    def __call__(self, do, **arguments):
        self.send(do, **arguments)
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def number(value):
    """As the probe writes it."""
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
