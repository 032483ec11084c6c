"""A private PostgreSQL server in a folder of its own, on a Unix socket only."""
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile


def _binaries():
    """Debian keeps the server's programs out of PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    return pathlib.Path(found[-1]).parent if found else None


class PostgresServer:
    """with PostgresServer() as server: server.url("name") is a new database's URL."""

    def __init__(self, settings=None):
        self.binaries = _binaries()
        if not self.binaries:
            raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
        # A socket's path may have 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hone-pg-", dir="/tmp"))
        self.settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder),
                         "max_connections": "100", **(settings or {})}
        self.process = None

    def _as_postgres(self, command):
        """The server refuses to run as root."""
        command = [str(c) for c in command]
        return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command

    def __enter__(self):
        try:
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres", "postgres")
            self.folder.chmod(0o700)
            subprocess.run(self._as_postgres([self.binaries / "initdb", "-D", self.folder / "data", "-A", "trust",
                                              "-U", "postgres", "-E", "UTF8", "--no-locale", "-N"]),
                           check=True, stdout=subprocess.DEVNULL, cwd="/")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        options = [x for key, value in self.settings.items() for x in ("-c", f"{key}={value}")]
        # setpriv, unlike runuser, leaves the server as the very child that was started.
        privileges = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        log = open(self.folder / "log", "a")
        self.process = subprocess.Popen([*privileges, str(self.binaries / "postgres"), "-D", str(self.folder / "data"),
                                         *options], stdout=log, stderr=log, cwd="/")
        log.close()
        for _ in range(200):
            ready = subprocess.run([self.binaries / "pg_isready", "-q", "-h", self.folder, "-t", "1"])
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                pass
        raise RuntimeError("the server does not start: " + (self.folder / "log").read_text())

    def stop(self, how=signal.SIGINT):
        """SIGINT ends sessions and stops cleanly; SIGQUIT is a crash that the next start repairs."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def url(self, database, driver=""):
        """SQLAlchemy wants driver="+psycopg2"; hone takes both forms."""
        return f"postgresql{driver}://postgres@/{database}?host={self.folder}"

    def create(self, database):
        """Makes an empty database."""
        self.sql(f"CREATE DATABASE {database}", "postgres")
        return self.url(database)

    def sql(self, text, database):
        return subprocess.run(["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
                               "-U", "postgres", "-d", database, "-c", text],
                              check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
