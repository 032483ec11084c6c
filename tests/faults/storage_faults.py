#!/usr/bin/env python3
"""Study databases under many writers and under faults: storage_faults.py <storage_probe> [unittest arguments]

Run by the oracles' interpreter: Optuna reads what is left. HONE_STORAGE_KILLS sets the number of
workers killed in each database (default 200), HONE_FAULT_SEED when. SQLite files lie in /dev/shm
where there is one, so that the disk's fsync does not set the pace.
"""
import os
import pathlib
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from postgres import PostgresServer  # noqa: E402
from storage_probe import StorageError, StorageProbe  # noqa: E402

import optuna  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
PROBE = sys.argv.pop(1)
KILLS = int(os.environ.get("HONE_STORAGE_KILLS", "200"))
SEED = int(os.environ.get("HONE_FAULT_SEED", "0"))
WORKERS = 16
CLAIMS = 1000  # a worker


def in_threads(count, work):
    """Runs work(0) ... work(count - 1) at once; their results."""
    results, errors = [None] * count, []

    def call(i):
        try:
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def acknowledged(text):
    """The numbers of the trials that a worker said it had begun and ended."""
    lines = [line.split() for line in text.splitlines() if line.startswith(("begun ", "ended "))]
    return [int(n) for word, n in lines if word == "begun"], [int(n) for word, n in lines if word == "ended"]


class Storage:
    """What holds in every database."""

    def run(self, result=None):
        began = time.time()
        super().run(result)
        print(f"  {time.time() - began:.1f} s", file=sys.stderr)

    def work(self, trials):
        """A worker of that many trials, on its way."""
        worker = StorageProbe(PROBE, self.url)
        worker.send("work", study=1, trials=trials)
        return worker

    def check_complete(self, trial):
        self.assertEqual(trial.params, {"x": trial.number % 10, "c": "b"})
        self.assertEqual(sorted(trial.intermediate_values), [0, 1, 2])
        self.assertEqual(trial.values, [trial.number % 10])
        self.assertEqual(trial.user_attrs, {"number": trial.number})

    def test_each_waiting_trial_is_claimed_once(self):
        self.enqueue(WORKERS * CLAIMS)
        probes = [StorageProbe(PROBE, self.url, 60) for _ in range(WORKERS)]
        claims = in_threads(WORKERS, lambda i: probes[i]("claim_all", study=1))
        for probe in probes:
            probe.close()
        self.assertEqual(sorted(n for numbers in claims for n in numbers), list(range(WORKERS * CLAIMS)))
        self.assertGreater(sum(len(numbers) > 0 for numbers in claims), WORKERS // 2)
        self.assertEqual(self.query("SELECT COUNT(*) FROM trials WHERE state = 'RUNNING'"), WORKERS * CLAIMS)

    def test_many_writers_number_trials_densely(self):
        trials = 20
        workers = [self.work(trials) for _ in range(WORKERS)]
        texts = [worker.process.communicate()[0] for worker in workers]
        begun = sorted(n for text in texts for n in acknowledged(text)[0])
        self.assertEqual(begun, list(range(WORKERS * trials)))
        for trial in self.read():
            self.assertEqual(trial.state, TrialState.COMPLETE)
            self.check_complete(trial)

    def test_killed_workers_lose_their_running_trial_only(self):
        random_ = random.Random(SEED)
        moments = [[(random_.randint(0, 5), random_.uniform(0, 0.005)) for _ in range(KILLS // 4)] for _ in range(4)]

        def lose_workers(i):
            texts = []
            for lines, pause in moments[i]:
                worker = self.work(10 ** 6)
                text = "".join(worker.process.stdout.readline() for _ in range(lines))
                time.sleep(pause)
                worker.process.kill()
                texts.append(text + worker.process.communicate()[0])
            return texts

        self.enqueue(20)
        acks = [acknowledged(text) for texts in in_threads(4, lose_workers) for text in texts]
        begun = [n for numbers, _ in acks for n in numbers]
        ended = {n for _, numbers in acks for n in numbers}
        self.assertEqual(len(begun), len(set(begun)), "a trial was given to two workers")
        trials = self.read()
        self.assertEqual([t.number for t in trials], list(range(len(trials))))
        self.assertLessEqual(set(begun), {t.number for t in trials if t.state != TrialState.WAITING})
        complete = {t.number for t in trials if t.state == TrialState.COMPLETE}
        self.assertLessEqual(ended, complete, "an acknowledged end was lost")
        running = [t for t in trials if t.state == TrialState.RUNNING]
        self.assertLessEqual(len(running), len(acks))
        self.assertGreater(len(running), 0, "no worker was killed at work")
        for trial in trials:
            if trial.state == TrialState.COMPLETE:
                self.check_complete(trial)
            else:
                self.assertIn(trial.state, (TrialState.RUNNING, TrialState.WAITING))

        with StorageProbe(PROBE, self.url) as supervisor:
            for trial in running:
                supervisor("fail_and_retry", trial=trial._trial_id)
            waiting = sum(t.state == TrialState.WAITING for t in self.read())
            self.assertEqual(len(supervisor("claim_all", study=1)), waiting)
        again = [t.system_attrs["failed_trial"] for t in self.read() if "failed_trial" in t.system_attrs]
        self.assertEqual(sorted(again), sorted(t.number for t in running))
        print(f"{self.kind}: {len(acks)} kills over {len(trials)} trials, {len(running)} of them running")

    def read(self):
        return optuna.load_study(study_name="s", storage=self.optuna_url).get_trials(deepcopy=False)


class Sqlite(Storage, unittest.TestCase):
    kind = "SQLite"

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.exists("/dev/shm") else None)
        self.addCleanup(temporary.cleanup)
        self.begin(pathlib.Path(temporary.name))

    def begin(self, folder):
        self.path = folder / "study.db"
        self.url = self.optuna_url = f"sqlite:///{self.path}"
        with StorageProbe(PROBE, self.url) as probe:
            probe("create_study", name="s", directions=["minimize"])

    def query(self, text):
        db = sqlite3.connect(self.path)
        try:
            return db.execute(text).fetchone()[0]
        finally:
            db.close()

    def enqueue(self, count):
        db = sqlite3.connect(self.path)
        with db:
            db.executemany("INSERT INTO trials (number, study_id, state) VALUES (?, 1, 'WAITING')",
                           [(n,) for n in range(count)])
        db.close()

    def read(self):
        self.assertEqual(self.query("PRAGMA integrity_check"), "ok")
        return super().read()

    def test_a_lock_is_waited_for(self):
        with StorageProbe(PROBE, self.url) as probe:
            db = sqlite3.connect(self.path)
            db.execute("BEGIN EXCLUSIVE")
            probe.send("create_trial", study=1)
            time.sleep(0.5)
            self.assertEqual(db.execute("SELECT COUNT(*) FROM trials").fetchone()[0], 0)
            db.close()
            self.assertEqual(probe.read()["number"], 0)

    def fill(self, probe):
        """Trials with an attribute of 2 kB until none fits; the ids and the error."""
        done = []
        with self.assertRaises(StorageError) as caught:
            while len(done) < 5000:
                done.append(probe("create_trial", study=1, copy={"state": "complete", "values": [1.0], "user_attrs": {
                    "text": "x" * 2000}})["id"])
        self.assertEqual(caught.exception.kind, "IoError")
        self.assertGreater(len(done), 10)
        return done, str(caught.exception)

    def test_a_full_disk_leaves_the_study_as_it_was(self):
        small = tempfile.mkdtemp(prefix="hone-full-")
        self.addCleanup(os.rmdir, small)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "hone-full", small],
                                               stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs the right to mount a small tmpfs")
        # Lazily: Optuna's pool keeps the file open.
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        self.begin(pathlib.Path(small))
        ballast = pathlib.Path(small) / "ballast"
        ballast.write_bytes(bytes(100_000))
        with StorageProbe(PROBE, self.url) as probe:
            done, error = self.fill(probe)
            self.assertIn("the disk is full: this write was not stored", error)
            self.assertEqual([t._trial_id for t in self.read()], done)
            ballast.unlink()
            self.assertEqual(probe("create_trial", study=1)["number"], len(done))

    def test_a_file_size_limit_leaves_the_study_as_it_was(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

        with StorageProbe(PROBE, self.url, preexec_fn=limit) as probe:
            done, error = self.fill(probe)
            self.assertIn("a quota or a limit on file sizes", error)
        self.assertEqual([t._trial_id for t in self.read()], done)
        with StorageProbe(PROBE, self.url) as probe:
            self.assertEqual(probe("create_trial", study=1)["number"], len(done))


class Postgres(Storage, unittest.TestCase):
    kind = "PostgreSQL"

    @classmethod
    def setUpClass(cls):
        # Processes are killed here, not the machine: fsync would only set the pace.
        cls.server = PostgresServer({"fsync": "off"}).__enter__()
        cls.addClassCleanup(cls.server.__exit__)
        cls.count = 0

    def setUp(self):
        type(self).count += 1
        self.database = f"study{self.count}"
        self.url = self.server.create(self.database)
        self.optuna_url = self.server.url(self.database, "+psycopg2")
        with StorageProbe(PROBE, self.url) as probe:
            probe("create_study", name="s", directions=["minimize"])

    def query(self, text):
        return int(self.server.sql(text, self.database))

    def enqueue(self, count):
        self.server.sql("INSERT INTO trials (number, study_id, state) "
                        f"SELECT n, 1, 'WAITING' FROM generate_series(0, {count - 1}) n", self.database)

    def work_through(self, trouble):
        """Four workers of 60 trials each live through the trouble, and no trial is doubled or lost."""
        trials = 60
        workers = [self.work(trials) for _ in range(4)]
        time.sleep(0.1)
        trouble()
        texts = [worker.process.communicate(timeout=100)[0] for worker in workers]
        for text in texts:
            self.assertIn('{"ok":null}', text.splitlines()[-1])
        begun = sorted(n for text in texts for n in acknowledged(text)[0])
        self.assertEqual(begun, list(range(4 * trials)))
        for trial in self.read():
            self.assertEqual(trial.state, TrialState.COMPLETE)
            self.check_complete(trial)

    def test_workers_outlive_restarts_of_the_server(self):
        def restart():
            for how in (signal.SIGINT, signal.SIGQUIT):  # a clean stop; a crash
                self.server.stop(how)
                time.sleep(0.3)
                self.server.start()
                time.sleep(0.2)

        self.work_through(restart)

    def test_workers_outlive_ended_sessions(self):
        def end_sessions():
            for _ in range(20):
                self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                "WHERE application_name = 'hone'", self.database)

        self.work_through(end_sessions)

    def test_a_commit_without_acknowledgement_happens_once(self):
        for arrives in (True, False):
            with self.subTest(arrives=arrives), CommitCutter(self.server.folder, arrives) as cutter:
                before = self.query("SELECT COUNT(*) FROM trials")
                with StorageProbe(PROBE, self.url.replace(str(self.server.folder), cutter.folder)) as probe:
                    cutter.armed = True
                    self.assertEqual(probe("create_trial", study=1)["number"], before)
                    self.assertFalse(cutter.armed, "no commit was cut")
                    cutter.armed = True
                    probe("report", trial=self.query("SELECT MAX(trial_id) FROM trials"), step=1, value=1)
                    self.assertFalse(cutter.armed)
                self.assertEqual(self.query("SELECT COUNT(*) FROM trials"), before + 1)

    def test_a_server_that_stays_away_is_an_error(self):
        with StorageProbe(PROBE, self.url, 1) as probe:
            self.server.stop()
            self.addCleanup(self.server.start)
            with self.assertRaises(StorageError) as caught:
                probe("create_trial", study=1)
        self.assertEqual(caught.exception.kind, "IoError")
        self.assertIn("gave up after 1", str(caught.exception))

    def test_a_lock_for_ever_is_an_error(self):
        holder = subprocess.Popen(["psql", "-X", "-q", "-h", self.server.folder, "-U", "postgres", "-d", self.database],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print("BEGIN; SELECT 'held' FROM studies FOR UPDATE;", file=holder.stdin, flush=True)
        while "held" not in holder.stdout.readline():
            pass
        with StorageProbe(PROBE, self.url, 0.5) as probe:
            with self.assertRaises(StorageError) as caught:
                probe("create_trial", study=1)
            self.assertIn("is locked by another client", str(caught.exception))
            holder.communicate("ROLLBACK;\n")
            self.assertEqual(probe("create_trial", study=1)["number"], 0)

    def test_wrong_addresses_are_errors_without_the_password(self):
        for url, why in ((self.server.url("nowhere"), 'database "nowhere" does not exist'),
                         (f"postgresql://u:secret@/d?host={self.server.folder}/none", "No such file or directory"),
                         ("postgresql://u:secret@[/d", "expected postgresql://user@host/database")):
            with self.assertRaises(StorageError) as caught:
                StorageProbe(PROBE, url, 1)
            self.assertIn(why, str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))


class CommitCutter:
    """Stands between a client and the server's socket; while armed, the next COMMIT loses its
    answer: it arrives and its answer does not, or it does not arrive."""

    def __init__(self, server_folder, arrives):
        self.server_folder, self.arrives = server_folder, arrives
        self.armed = self.silent = False
        self.temporary = tempfile.TemporaryDirectory(prefix="hone-cut-")
        self.folder = self.temporary.name

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/.s.PGSQL.5432")
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.temporary.cleanup()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self.server_folder}/.s.PGSQL.5432")
            threading.Thread(target=self.forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self.back, args=(client, server), daemon=True).start()

    def forward(self, client, server):
        try:
            while data := client.recv(65536):
                if self.armed and b"COMMIT\0" in data:
                    self.armed = False
                    if self.arrives:
                        self.silent = True
                        server.sendall(data)
                        time.sleep(0.2)
                    break
                server.sendall(data)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def back(self, client, server):
        try:
            while data := server.recv(65536):
                if self.silent:
                    self.silent = False
                    return
                client.sendall(data)
        except OSError:
            pass


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
