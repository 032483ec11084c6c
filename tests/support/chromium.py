"""Headless Chromium through its DevTools protocol, over a pipe: no driver and no package.

    with Chromium() as browser:
        page = browser.open("http://127.0.0.1:8080/")
        page.wait("document.title === 'x'", "the title")
"""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time


class Chromium:
    def __init__(self, width=1280, height=1000):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert program, "no Chromium here: scripts/setup --oracles installs Debian's package chromium"
        self.folder = tempfile.TemporaryDirectory()
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()

        def place_pipes():  # the browser expects them at 3 and 4
            os.dup2(os.dup(commands), 30), os.dup2(os.dup(answers), 31)
            os.dup2(30, 3), os.dup2(31, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--hide-scrollbars",
             f"--window-size={width},{height}", f"--user-data-dir={self.folder.name}"],
            preexec_fn=place_pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(commands), os.close(answers)
        self.rest, self.number, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.commands), os.close(self.answers)
        shutil.rmtree(self.folder.name, ignore_errors=True)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def read(self):
        while b"\0" not in self.rest:
            piece = os.read(self.answers, 1 << 20)
            assert piece, "the browser ended"
            self.rest += piece
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", url=url)
        page.wait("location.href !== 'about:blank' && document.readyState === 'complete'", url.split(",")[0])
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        """What a JavaScript expression, or the promise that it gives, comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not self.value(condition):
            assert time.monotonic() < end, f"{what}: not within {seconds} s; the page shows:\n" + \
                str(self.value("document.body.innerText"))[:2000]
            time.sleep(0.1)
        print(f"seen: {what}")

    def complaints(self):
        """Scripts that failed and what the page's policy forbade."""
        self.value("0")  # takes in what has happened so far
        return [event["params"] for event in self.browser.events
                if event.get("sessionId") == self.session and (
                    event["method"] == "Runtime.exceptionThrown" or event["method"] == "Log.entryAdded"
                    and event["params"]["entry"]["level"] == "error")]

    def use_dark(self, dark):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, path, height=None):
        """The page as a PNG file, all of it or its first `height` pixels."""
        width, whole = self.value("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": width, "height": min(whole, height or whole), "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))
