"""Studies of hone and Optuna are the same studies, in SQLite and PostgreSQL:
tune_storage.py <storage_probe> sqlite|postgresql. The probe drives hone's storage."""
import copy
import datetime
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
import warnings

# Optuna shows local time and stores UTC; away from UTC the two differ.
os.environ["TZ"] = "America/New_York"
time.tzset()
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import optuna  # noqa: E402
from optuna.distributions import (CategoricalDistribution, FloatDistribution, IntDistribution,  # noqa: E402
                                  distribution_to_json, json_to_distribution)
from optuna.storages import RDBStorage  # noqa: E402
from optuna.study import StudyDirection  # noqa: E402
from optuna.trial import FrozenTrial, TrialState, create_trial  # noqa: E402

from postgres import PostgresServer  # noqa: E402
from storage_probe import StorageError, StorageProbe, number  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
PROBE = sys.argv[1]
INF, NAN = math.inf, math.nan
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Sqlite:
    """Databases of one kind: hone's URL of a new one, and Optuna's."""
    name = "SQLite"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.exists("/dev/shm") else None)
        self.count = 0
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def new(self):
        self.count += 1
        return f"sqlite:///{self.folder.name}/{self.count}.db"

    def schema(self, url):
        import sqlite3
        with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
            return (sorted(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")),
                    list(db.execute("PRAGMA journal_mode")))


class Postgres:
    name = "PostgreSQL"

    def __enter__(self):
        self.server = PostgresServer({"fsync": "off"}).__enter__()
        self.count = 0
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def new(self):
        self.count += 1
        self.server.create(f"study{self.count}")
        # SQLAlchemy 2.1 takes a plain postgresql:// for psycopg 3.
        return self.server.url(f"study{self.count}", "+psycopg2")

    def schema(self, url):
        dump = subprocess.run(["pg_dump", "-s", "-h", self.server.folder, "-U", "postgres",
                               url.split("@/")[1].split("?")[0]], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [line for line in dump.splitlines() if not line.startswith(("\\", "--"))]


# --- hone's answers and Optuna's objects, brought to one form ---

def microseconds(local):
    return None if local is None else (local.astimezone(datetime.timezone.utc) - EPOCH) // datetime.timedelta(
        microseconds=1)


def python_words(value):
    """hone reads Python's bare NaN and Infinity as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {k: python_words(v) for k, v in value.items()}
    return [python_words(v) for v in value] if isinstance(value, (list, tuple)) else value


def plain_distribution(distribution):
    return json.loads(distribution_to_json(distribution))


def params_of(trial):
    return [{"name": name, "value": float(trial.distributions[name].to_internal_repr(value)),
             "external": value, "distribution": plain_distribution(trial.distributions[name])}
            for name, value in trial.params.items()]


def plain(trial):
    """An Optuna trial as the probe prints one."""
    return {"id": trial._trial_id, "number": trial.number, "state": trial.state.name.lower(),
            "values": [number(v) for v in trial.values or []], "params": params_of(trial),
            "intermediate": {str(k): number(v) for k, v in trial.intermediate_values.items()},
            "user_attrs": python_words(trial.user_attrs), "system_attrs": python_words(trial.system_attrs),
            "start": microseconds(trial.datetime_start), "complete": microseconds(trial.datetime_complete)}


def typed(value):
    """Python finds 1 == 1.0 == True; this does not."""
    return json.dumps(value, sort_keys=True)


def compare(url, name, probe, study=None):
    """hone and Optuna, with fresh caches and old ones, see the same study."""
    fresh = optuna.load_study(study_name=name, storage=url)
    for reader in [fresh] + ([study] if study else []):
        with StorageProbe(PROBE, url) as newcomer:
            for hone in (probe, newcomer):
                found = hone("find_study", name=name)
                assert found["directions"] == [d.name.lower() for d in reader.directions], found
                assert found["user_attrs"] == python_words(reader.user_attrs), found
                assert found["system_attrs"] == python_words(
                    reader._storage.get_study_system_attrs(reader._study_id)), found
                got = hone("trials", study=found["id"])
                want = [plain(t) for t in reader.get_trials(deepcopy=False)]
                assert len(got) == len(want)
                for ours, theirs in zip(got, want):
                    assert typed(ours) == typed(theirs), f"\nhone   {ours}\noptuna {theirs}"
                assert hone("trial", trial=got[-1]["id"]) == got[-1]
    return fresh


# --- 1. the tables ---

def check_schema(kind):
    ours, theirs = kind.new(), kind.new()
    StorageProbe(PROBE, ours).close()
    RDBStorage(theirs)
    assert kind.schema(ours) == kind.schema(theirs)
    # Optuna adds nothing to ours.
    RDBStorage(ours)
    assert kind.schema(ours) == kind.schema(theirs)
    versions = RDBStorage(ours)._version_manager
    assert versions.get_current_version() == versions.get_head_version() == "v3.2.0.a"
    with versions.engine.connect() as db:
        import sqlalchemy
        row = db.execute(sqlalchemy.text("SELECT * FROM version_info")).one()
    assert tuple(row)[:2] == (1, 12) and row[2].startswith("hone "), row


# --- 2. Optuna begins ---

SPACE = {"x": FloatDistribution(-1, 1), "lr": FloatDistribution(1e-6, 0.1, log=True),
         "drop": FloatDistribution(0, 0.5, step=0.05), "n": IntDistribution(1, 256, log=True),
         "rank": IntDistribution(4, 128, step=4),
         "c": CategoricalDistribution([None, True, 1, 1.5, "\u00e9\U0001f600"])}


def optuna_begins(kind):
    url = kind.new()
    study = optuna.create_study(storage=url, study_name="theirs \u00e9",
                                sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_user_attr("note", {"a": [1, 2.5, None], "bad": NAN})
    study.set_metric_names(["loss"])
    study.enqueue_trial({"x": 0.25, "c": True}, user_attrs={"why": "a good guess"})
    for value, state in ((1.0, TrialState.COMPLETE), (INF, TrialState.COMPLETE), (None, TrialState.PRUNED),
                         (None, TrialState.FAIL), (-INF, TrialState.COMPLETE)):
        study.add_trial(create_trial(state=state, value=value, params={"x": 0.5, "c": None},
                                     distributions={k: SPACE[k] for k in ("x", "c")},
                                     intermediate_values={0: 1.0, 1: NAN, 2: INF, 3: -INF}))
    trial = study.ask()
    for name, distribution in SPACE.items():
        trial._suggest(name, distribution)
    trial.report(0.75, 1)
    trial.set_user_attr("words", ["NaN", NAN, {"x": -INF}, 'a "NaN", b'])
    trial.set_user_attr("large", 2.0 ** 60)
    study._storage.set_trial_system_attr(trial._trial_id, "constraints", [0.5, -1.0])
    study.tell(trial, 0.125)
    pruned = study.ask()
    pruned.report(3.5, 7)
    study.tell(pruned, state=TrialState.PRUNED)
    study.ask(SPACE)  # stays running
    study.enqueue_trial({"x": 0.5})
    with StorageProbe(PROBE, url) as probe:
        compare(url, study.study_name, probe, study)

        id_ = probe("find_study", name=study.study_name)["id"]
        claimed = probe("claim_waiting", study=id_)
        assert claimed["system_attrs"]["fixed_params"] == {"x": 0.5}, claimed
        probe("set_params", trial=claimed["id"], params=[
            {"name": "x", "value": 0.5, "distribution": plain_distribution(SPACE["x"])},
            {"name": "c", "value": 4, "distribution": plain_distribution(SPACE["c"])}])
        probe("report", trial=claimed["id"], step=1, value="nan")
        probe("report", trial=claimed["id"], step=2, value=0.5)
        probe("set_trial_attrs", trial=claimed["id"], attrs={"u": {"deep": [1, 1.0, True]}, "e": "\u00e9\n"})
        probe("set_trial_attrs", trial=claimed["id"], attrs={"constraints": [0.0]}, system=True)
        assert probe("finish", trial=claimed["id"], state="pruned") == "pruned"
        infinite = probe("create_trial", study=id_)
        assert probe("finish", trial=infinite["id"], state="complete", values=["-inf"]) == "complete"
        running = [t for t in probe("trials", study=id_) if t["state"] == "running"]
        probe("finish", trial=running[0]["id"], state="complete", values=[2.0])
        probe("create_trial", study=id_, copy={"state": "waiting", "system_attrs": {"fixed_params": {"x": 0.125}}})
        probe("set_study_attr", study=id_, key="ours", value=[1, None])
        fresh = compare(url, study.study_name, probe, study)

        fresh.sampler = optuna.samplers.TPESampler(seed=3, n_startup_trials=2)
        fresh.optimize(lambda t: t.suggest_float("x", -1, 1) ** 2 + t.suggest_int("n", 1, 256, log=True), n_trials=4)
        assert fresh.trials[-4].params["x"] == 0.125
        for bad in ("x", "c"):
            next_ = fresh.ask()
            for tell in (lambda: next_.suggest_float(bad, 0.5, 1, log=True), lambda: probe(
                    "set_params", trial=next_._trial_id, params=[
                        {"name": bad, "value": 1, "distribution": plain_distribution(IntDistribution(0, 3))}])):
                try:
                    tell()
                    raise AssertionError(f"{bad} changed its kind")
                except (ValueError, StorageError) as error:
                    assert not isinstance(error, StorageError) or error.kind == "Error", error
        compare(url, study.study_name, probe, study)
    return url


# --- 3. hone begins ---

def hone_begins(kind):
    url = kind.new()
    space = [{"name": name, "value": value, "distribution": plain_distribution(SPACE[name])}
             for name, value in (("x", 0.1), ("lr", 1e-6), ("drop", 0.15), ("n", 256), ("rank", 8), ("c", 4))]
    with StorageProbe(PROBE, url) as probe:
        study = probe("create_study", name="ours \u00e9", directions=["minimize", "maximize"])["id"]
        probe("set_study_attr", study=study, key="study:metric_names", value=["loss", "acc"], system=True)
        probe("set_study_attr", study=study, key="space", value={"x": [-1, 1.0]})
        for values in ([1.0, 2.0], ["inf", "-inf"], [1.7976931348623157e308, 5e-324]):
            trial = probe("create_trial", study=study)["id"]
            probe("set_params", trial=trial, params=space[:3])
            probe("set_params", trial=trial, params=space[3:])
            probe("set_trial_attrs", trial=trial, attrs={"constraints": [-1.0]}, system=True)
            probe("finish", trial=trial, state="complete", values=values)
        for state in ("pruned", "fail"):
            trial = probe("create_trial", study=study)["id"]
            probe("report", trial=trial, step=3, value="nan")
            probe("finish", trial=trial, state=state)
        probe("create_trial", study=study, copy={"state": "complete", "values": [3.0, 4.0], "params": space[:2],
                                                 "start": 1_700_000_000_000_001, "complete": 1_700_000_001_000_000,
                                                 "intermediate": {"1": "inf"}, "user_attrs": {"k": {}}})
        probe("create_trial", study=study, copy={"state": "waiting", "params": space})
        probe("create_trial", study=study)
        theirs = compare(url, "ours \u00e9", probe)
        assert theirs.directions == [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
        assert theirs.metric_names == ["loss", "acc"]
        assert len(theirs.best_trials) >= 1
        retried = theirs.ask()
        assert retried.number == 6 and retried.params["c"] == SPACE["c"].choices[4]
        theirs.tell(retried, [0.5, 0.5])
        theirs.sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=1)
        theirs.optimize(lambda t: (t.suggest_float("x", -1, 1), t.suggest_int("rank", 4, 128, step=4)), n_trials=3)
        compare(url, "ours \u00e9", probe, theirs)
        probe("finish", trial=probe("create_trial", study=study)["id"], state="complete", values=[0, 1])
        compare(url, "ours \u00e9", probe, theirs)
        optuna.delete_study(study_name="ours \u00e9", storage=url)
        assert probe("find_study", name="ours \u00e9") is None
        again = probe("create_study", name="ours \u00e9", directions=["maximize"])["id"]
        probe("finish", trial=probe("create_trial", study=again)["id"], state="complete", values=[1])
        compare(url, "ours \u00e9", probe)
    return url


# --- 4. dead workers ---

def check_heartbeats(kind):
    """Both sides fail and retry the other's silent workers, and leave the same trials."""
    def age(storage):
        """As if the last heartbeat had been a minute ago."""
        import sqlalchemy
        with storage.engine.begin() as db:
            past = ("datetime(heartbeat, '-60 seconds')" if kind.name == "SQLite" else "heartbeat - interval '60 s'")
            db.execute(sqlalchemy.text(f"UPDATE trial_heartbeats SET heartbeat = {past}"))

    stories = []
    for beats, fails in (("optuna", "hone"), ("hone", "optuna"), ("optuna", "optuna"), ("hone", "hone")):
        url = kind.new()
        storage = RDBStorage(url, heartbeat_interval=5, grace_period=30,
                             heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(2))
        study = optuna.create_study(storage=storage, study_name="s")
        study.enqueue_trial({"x": 0.5}, user_attrs={"u": 1})
        with StorageProbe(PROBE, url) as probe:
            def fail_stale():
                if fails == "optuna":
                    optuna.storages.fail_stale_trials(study)
                else:
                    probe("fail_stale", study=1, grace=30.0, max_retries=2)

            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            trial.report(1, 1)
            current = trial._trial_id
            for death in range(3):
                if beats == "optuna":
                    storage.record_heartbeat(current)
                else:
                    assert probe("heartbeat", trial=current)
                fail_stale()
                assert probe("trial", trial=current)["state"] == "running", "a beating worker was failed"
                age(storage)
                fail_stale()
                assert probe("trial", trial=current)["state"] == "fail", (beats, fails, death)
                retried = probe("claim_waiting", study=1)
                assert (retried is None) == (death == 2)
                current = retried["id"] if retried else None
            compare(url, "s", probe)
            stories.append([{k: v for k, v in t.items() if k not in ("start", "complete")}
                            for t in probe("trials", study=1)])
            numbers = [t.number for t in study.trials]
            assert numbers == [0, 1, 2], numbers
            assert optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(study.trials[2]) == [0, 1]
    for story in stories[1:]:
        assert story == stories[0], f"\n{story}\n{stories[0]}"


# --- 5. what Optuna expects of any storage ---

class HoneStorage(optuna.storages.BaseStorage):
    """hone's storage behind Optuna's interface, for Optuna's own tests of storages."""

    def __init__(self, url):
        self.url = url
        self.probe = StorageProbe(PROBE, url)
        self.studies = {}  # by trial

    def __reduce__(self):
        return HoneStorage, (self.url,)

    def call(self, do, **arguments):
        try:
            return self.probe(do, **arguments)
        except StorageError as error:
            if error.kind == "TrialFinished":
                raise optuna.exceptions.UpdateFinishedTrialError(str(error)) from error
            if "there is no" in str(error):
                raise KeyError(str(error)) from error
            if "there is a study" in str(error):
                raise optuna.exceptions.DuplicatedStudyError(str(error)) from error
            raise ValueError(str(error)) from error

    def study(self, study_id):
        for study in self.call("studies"):
            if study["id"] == study_id:
                return study
        raise KeyError(study_id)

    def create_new_study(self, directions, study_name=None):
        if study_name is None:
            study_name = f"{optuna.storages._base.DEFAULT_STUDY_NAME_PREFIX}{time.time_ns()}"
        return self.call("create_study", name=study_name, directions=[d.name.lower() for d in directions])["id"]

    def delete_study(self, study_id):
        self.call("delete_study", study=study_id)

    def set_study_user_attr(self, study_id, key, value):
        self.call("set_study_attr", study=study_id, key=key, value=value)

    def set_study_system_attr(self, study_id, key, value):
        self.call("set_study_attr", study=study_id, key=key, value=value, system=True)

    def get_study_id_from_name(self, study_name):
        found = self.call("find_study", name=study_name)
        if not found:
            raise KeyError(study_name)
        return found["id"]

    def get_study_name_from_id(self, study_id):
        return self.study(study_id)["name"]

    def get_study_directions(self, study_id):
        return [StudyDirection[d.upper()] for d in self.study(study_id)["directions"]]

    def get_study_user_attrs(self, study_id):
        return self.study(study_id)["user_attrs"]

    def get_study_system_attrs(self, study_id):
        return self.study(study_id)["system_attrs"]

    def get_all_studies(self):
        return [optuna.study._frozen.FrozenStudy(
            study_name=s["name"], direction=None, directions=[StudyDirection[d.upper()] for d in s["directions"]],
            user_attrs=s["user_attrs"], system_attrs=s["system_attrs"], study_id=s["id"])
            for s in self.call("studies")]

    def create_new_trial(self, study_id, template_trial=None):
        template = {"copy": {k: v for k, v in plain(template_trial).items() if v is not None}} if template_trial else {}
        trial_id = self.call("create_trial", study=study_id, **template)["id"]
        self.studies[trial_id] = study_id
        return trial_id

    def set_trial_param(self, trial_id, param_name, param_value_internal, distribution):
        self.call("set_params", trial=trial_id, params=[
            {"name": param_name, "value": param_value_internal, "distribution": plain_distribution(distribution)}])

    def get_trial_id_from_study_id_trial_number(self, study_id, trial_number):
        for trial in self.call("trials", study=study_id):
            if trial["number"] == trial_number:
                return trial["id"]
        raise KeyError(trial_number)

    def get_trial_param(self, trial_id, param_name):
        return {p["name"]: p["value"] for p in self.call("trial", trial=trial_id)["params"]}[param_name]

    def set_trial_state_values(self, trial_id, state, values=None):
        current = self.get_trial(trial_id).state
        self.check_trial_is_updatable(trial_id, current)
        if state == TrialState.RUNNING:
            # hone claims the oldest waiting trial instead of one by its id.
            return (current == TrialState.WAITING and
                    self.call("claim_waiting", study=self.studies[trial_id])["id"] == trial_id)
        values = [number(v) for v in values or []] if state == TrialState.COMPLETE else []
        return self.call("finish", trial=trial_id, state=state.name.lower(), values=values) == state.name.lower()

    def set_trial_intermediate_value(self, trial_id, step, intermediate_value):
        self.call("report", trial=trial_id, step=step, value=number(intermediate_value))

    def set_trial_user_attr(self, trial_id, key, value):
        self.call("set_trial_attrs", trial=trial_id, attrs={key: value})

    def set_trial_system_attr(self, trial_id, key, value):
        self.call("set_trial_attrs", trial=trial_id, attrs={key: value}, system=True)

    @staticmethod
    def frozen(t):
        def local(time_):
            if time_ is None:
                return None
            return (EPOCH + datetime.timedelta(microseconds=time_)).astimezone().replace(tzinfo=None)
        distributions = {p["name"]: json_to_distribution(json.dumps(p["distribution"])) for p in t["params"]}
        return FrozenTrial(
            number=t["number"], state=TrialState[t["state"].upper()], value=None,
            values=[float(v) for v in t["values"]] or None, datetime_start=local(t["start"]),
            datetime_complete=local(t["complete"]), params={p["name"]: p["external"] for p in t["params"]},
            distributions=distributions, user_attrs=t["user_attrs"], system_attrs=t["system_attrs"],
            intermediate_values={int(k): float(v) for k, v in t["intermediate"].items()}, trial_id=t["id"])

    def get_trial(self, trial_id):
        return self.frozen(self.call("trial", trial=trial_id))

    def get_all_trials(self, study_id, deepcopy=True, states=None):
        trials = [self.frozen(t) for t in self.call("trials", study=study_id)]
        return [t for t in trials if states is None or t.state in states]


def optuna_storage_tests():
    """(object, name, function, arguments) of Optuna's StorageTestCase; pytest itself is not needed."""
    stub = types.ModuleType("pytest")

    class Raises:
        def __init__(self, expected):
            self.expected = expected

        def __enter__(self):
            return self

        def __exit__(self, kind, *_):
            assert kind is not None and issubclass(kind, self.expected), f"{self.expected} expected, got {kind}"
            return True

    def parametrize(names, choices):
        def decorate(function):
            keys = names.split(",")
            rows = [dict(zip(keys, c if len(keys) > 1 else [c])) for c in choices]
            function.rows = [{**a, **b} for a in getattr(function, "rows", [{}]) for b in rows]
            return function
        return decorate

    stub.raises, stub.fixture = Raises, lambda function: function
    stub.mark = types.SimpleNamespace(parametrize=parametrize)
    sys.modules["pytest"] = stub
    from optuna.testing.pytest_storages import StorageTestCase
    for name in dir(StorageTestCase):
        if name.startswith("test_"):
            function = getattr(StorageTestCase, name)
            for row in getattr(function, "rows", [{}]):
                yield StorageTestCase(), name, function, row


# hone writes JSON only: attributes and choices cannot be NaN or infinite.
NOT_JSON = {"test_set_and_get_study_user_attrs_for_floats", "test_set_and_get_study_system_attrs_for_floats",
            "test_set_and_get_trial_user_attr_for_floats", "test_set_and_get_trial_system_attr_for_floats",
            "test_set_and_get_trial_param_for_floats"}


def check_expectations(kind):
    count = 0
    storage = HoneStorage(kind.new())
    for case, name, function, row in optuna_storage_tests():
        if name in NOT_JSON:
            continue
        try:
            function(case, storage=storage, **copy.deepcopy(row))
        except Exception as error:
            raise AssertionError(f"{name} {row}: {error!r}") from error
        for study in storage.call("studies"):
            storage.delete_study(study["id"])
        count += 1
    storage.probe.close()
    assert count > 40, count
    return count


# --- 6. optuna-dashboard ---

def check_dashboard(url, name):
    import socket
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dashboard = subprocess.Popen([pathlib.Path(sys.executable).with_name("optuna-dashboard"), url, "--host",
                                  "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            return json.load(reply)

    try:
        for attempt in range(300):
            try:
                studies = get("/api/studies")["study_summaries"]
                break
            except OSError:
                assert dashboard.poll() is None, dashboard.stderr.read()
                time.sleep(0.1)
        else:
            raise AssertionError("the dashboard does not answer")
        found = [s for s in studies if s["study_name"] == name]
        assert len(found) == 1, studies
        detail = get(f"/api/studies/{found[0]['study_id']}?after=0")
        want = optuna.load_study(study_name=name, storage=url).trials
        assert [t["number"] for t in detail["trials"]] == [t.number for t in want]
        assert [t["state"] for t in detail["trials"]] == [t.state.name.capitalize() for t in want], detail["trials"]
    finally:
        dashboard.terminate()
        dashboard.wait()


def main():
    began = time.time()

    def said(what):
        print(f"{what} ({time.time() - began:.1f} s)", flush=True)

    with {"sqlite": Sqlite, "postgresql": Postgres}[sys.argv[2]]() as kind:
        check_schema(kind)
        said("the tables are Optuna's")
        said(f"{check_expectations(kind)} of Optuna's own storage tests pass")
        theirs = optuna_begins(kind)
        said("Optuna's study read and continued")
        ours = hone_begins(kind)
        said("hone's study read and continued by Optuna")
        check_heartbeats(kind)
        said("silent workers fail and are retried alike")
        check_dashboard(theirs, "theirs \u00e9")
        check_dashboard(ours, "ours \u00e9")
        said("optuna-dashboard serves both studies")


main()
