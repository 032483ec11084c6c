"""hone-dynamic's promises: dynamic_run.py <hone-dynamic> <hone-domain> [unittest arguments]

A dry run equals a run without controllers, a replay equals the run it repeats, a run resumed at any
step equals the uninterrupted one: weights by their hashes, metrics row by row. Bad recipes and bad
replays are refused before training.
"""
import json
import pathlib
import shutil
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402
from tiny_run import Run, read_rows  # noqa: E402

DYNAMIC = DOMAIN = None
# Signals of the clock and of the machine's memory.
UNREPEATABLE = {"memory_headroom"}


def recipe(folder, steps=48, **controllers):
    config = tiny_run.base_recipe(folder, steps=steps)
    del config["guard"]
    config["train"]["lr"] = 0.02
    return config | {"signals": {"every": 5}, "controllers": controllers}


# A rate so high that spikes and plateaus come; every controller that acts on a plain model.
BUSY = {
    "spike": {"enabled": True, "window": 8, "deviations": 1, "min_rise": 0.01, "snapshot_every": 3,
              "trust_after": 1, "max_rollbacks": 1000},
    "batch": {"enabled": True, "every": 5, "max_accumulation": 6, "share": 100},
    "plateau": {"enabled": True, "patience": 0, "threshold": 0.5},
    "regularisation": {"enabled": True, "low_gap": -9, "high_gap": -8},
    "domain_weights": {"enabled": True, "every": 4},
    "freezing": {"enabled": True, "mode": "gradual_unfreezing", "every": 9},
    "rules": [{"when": "loss > 0 and grad_norm > 0", "for": 7, "set": "clip_norm", "multiply": 0.5, "once": False}],
    "early_stopping": {"enabled": True, "patience": 3, "min_gain": 0.2},
}


def pruning_recipe(folder, model=None):
    """Heads, channels and a layer go on schedules of their own, heads in uneven numbers."""
    config = recipe(folder, pruning={
        "enabled": True,
        "heads": {"target": 0.4, "start": 4, "end": 20, "every": 4, "recovery": 6},
        "channels": {"target": 0.25, "start": 2, "end": 14, "every": 6, "importance": "taylor"},
        "layers": {"target": 0.34, "start": 20, "end": 30, "every": 5, "importance": "output_norm"},
    })
    config["architecture"] |= {"num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 4,
                               "head_dim": 8}
    if model:
        del config["architecture"], config["tokenizer"]
        config |= {"model": str(model), "tuning": "lora", "lora": {"rank": 4, "dropout": 0.1}}
    return config


def expert_recipe(folder):
    """Two of each group of four experts go in two steps, worked into those that stay."""
    config = recipe(folder, pruning={"enabled": True, "experts": {"start": 4, "end": 20, "every": 4, "merge": True}})
    config["architecture"] = {
        "model_type": "deepseek_v3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 2, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
        "v_head_dim": 8, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1,
        "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1,
        "routed_scaling_factor": 1.0, "max_position_embeddings": 512}
    return config | {"experts": {"bias_rate": 0.01}}


class Result:
    """What a repeated run must give again."""

    def __init__(self, run):
        self.weights, rows = run.result()
        self.rows = []
        for row in rows:
            signals = {key: value for key, value in row.get("signals", {}).items() if key not in UNREPEATABLE}
            self.rows.append({**row, "signals": signals})
        path = run.out / "decisions.jsonl"
        self.decisions = read_rows(path)[1:] if path.exists() else []
        self.report = json.loads((run.out / "report.json").read_text())


class DynamicRun(tiny_run.DataTest):
    errors = {}  # of the finished runs, by name

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.config = recipe(cls.folder, **BUSY)
        cls.live = cls.finished("live", cls.config)
        cls.decisions = cls.folder / "live" / "decisions.jsonl"

    @classmethod
    def finished(cls, name, config, *flags, app=None, code=0):
        run = Run(app or DYNAMIC, config, cls.folder / name, *flags)
        got, errors = run.finish()
        cls.errors[name] = errors
        if got != code:
            raise AssertionError(f"{name}: exit code {got}\n{errors}")
        return Result(run)

    def same(self, a, b):
        self.assertTrue(a.weights)
        self.assertEqual(a.weights, b.weights)
        self.assertEqual(a.rows, b.rows)

    def test_the_controllers_act(self):
        made = {row["controller"] for row in self.live.decisions}
        self.assertEqual(made, set(BUSY))
        knobs = {row["knob"] for row in self.live.decisions}
        self.assertLessEqual({"lr_scale", "snapshot", "rollback"}, knobs)

    def test_people_read_neither_snapshots_nor_raw_masks_and_lines_of_80_columns(self):
        told = [row for row in self.live.decisions if row["knob"] != "snapshot"]
        self.assertLess(len(told), len(self.live.decisions))
        self.assertEqual(sum(self.live.report["decisions"].values()), len(told))
        self.assertEqual(self.live.report["path"], "dynamic")
        page = (self.folder / "live" / "report.html").read_text()
        self.assertIn('<h2>Signals</h2><div class="multiples">', page)
        begin = page.index('<table class="decisions">')
        table = page[begin:page.index("</table>", begin)]
        self.assertEqual(table.count("<tr>"), 1 + min(100, len(told)))
        self.assertNotIn("[1", table)
        lines = [line for line in self.errors["live"].splitlines() if "tok/s" in line]
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if len(line) > 80], [])

    def test_a_dry_run_equals_a_run_without_controllers(self):
        dry = self.finished("dry", self.config, "--dry-run")
        plain = self.finished("plain", {key: value for key, value in self.config.items()
                                        if key not in ("signals", "controllers")}, app=DOMAIN)
        self.assertEqual(dry.weights, plain.weights)
        self.assertNotEqual(dry.weights, self.live.weights)
        self.assertTrue(dry.decisions)
        self.assertFalse(any(row["applied"] for row in dry.decisions))

    def test_a_replay_equals_its_run(self):
        for name, controllers in (("same", BUSY), ("without", {})):  # the record alone decides
            again = self.finished(f"replay-{name}", self.config | {"controllers": controllers},
                                  "--replay", str(self.decisions))
            self.same(again, self.live)
            self.assertEqual(again.decisions, self.live.decisions)

    def test_a_resumed_run_equals_the_uninterrupted_one(self):
        self.check_resumed("resumed", self.config, self.live, range(3, 40, 5))

    def check_resumed(self, name, config, live, stops):
        for stop_at in stops:
            run = Run(DYNAMIC, config, self.folder / f"{name}-{stop_at}")
            process = run.start()
            if run.wait_for_step(process, stop_at):
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=tiny_run.DEADLINE)
            if process.returncode == 0:
                continue  # it was quicker than the signal
            self.assertEqual(process.returncode, 128 + signal.SIGTERM)
            code, errors = run.finish(resume=True)
            self.assertEqual(code, 0, errors)
            resumed = Result(run)
            self.same(resumed, live)
            self.assertEqual(resumed.decisions, live.decisions)

    def test_a_pruned_run_resumes_replays_and_can_be_used(self):
        """In the middle of soft masks, between cuts, and after them; full tuning, then an adapter."""
        base = self.finished("pruned", pruning_recipe(self.folder))
        self.check_pruned("pruned", pruning_recipe(self.folder), base)
        config = pruning_recipe(self.folder, self.folder / "plain-base/model")
        plain = recipe(self.folder, steps=20)
        plain["architecture"] = pruning_recipe(self.folder)["architecture"]
        self.finished("plain-base", plain)
        self.check_pruned("adapter", config, self.finished("adapter", config))

    def test_a_run_that_merges_and_cuts_experts_resumes_replays_and_can_be_used(self):
        config = expert_recipe(self.folder)
        live = self.finished("experts", config)
        self.assertEqual([row["knob"] for row in live.decisions if row["new"] != row["old"]],
                         ["merged_experts", "experts"] * 2 + ["cut"])
        alive = [row["experts_alive"] for row in live.rows if "experts_alive" in row][-1]
        self.assertEqual(list(alive), ["1", "2"])
        self.assertLessEqual(max(alive.values()), 4)
        self.check_resumed("experts", config, live, (6, 10, 22))
        again = self.finished("experts-replay", config | {"controllers": {}}, "--replay",
                              str(self.folder / "experts" / "decisions.jsonl"))
        self.assertEqual(again.weights, live.weights)
        self.assertEqual(again.decisions, live.decisions)
        saved = json.loads((self.folder / "experts/model/config.json").read_text())
        self.assertEqual(saved["n_routed_experts"], 4)
        self.check_scored("experts", live, "model")
        self.refused(config | {"model": str(self.folder / "experts/model"), "tuning": "lora",
                               "architecture": None, "tokenizer": None, "experts": {}},
                     words=["/controllers/pruning/experts/merge: changes weights"])

    def check_scored(self, name, live, folder):
        """The saved model has the held-out perplexity that the run ended with."""
        score = recipe(self.folder) | {"model": str(self.folder / name / folder), "train": {"steps": 0}}
        for key in ("architecture", "tokenizer", "signals", "controllers", "weights"):
            del score[key]
        del score["data"]["train"]
        scored = self.finished(f"{name}-{folder}-scored", score, app=DOMAIN)
        self.assertAlmostEqual(scored.report["after"]["domains"][0]["perplexity"]
                               / live.report["after"]["domains"][0]["perplexity"], 1, delta=1e-5)

    def check_pruned(self, name, config, live):
        cut = [row["new"] for row in live.decisions if row["knob"] == "cut"]
        self.assertEqual(cut, ["channels", "heads", "layers"])
        alive = [row["heads_alive"] for row in live.rows if "heads_alive" in row]
        self.assertEqual(sum(alive[0].values()), 24)
        self.assertIn(14, [sum(row.values()) for row in alive])  # 40 % of 24 are off
        self.assertEqual(len(alive[-1]), 2)  # a layer is gone
        self.check_resumed(name, config, live, (6, 13, 17, 22, 27, 34))
        again = self.finished(f"{name}-replay", config | {"controllers": {}}, "--replay",
                              str(self.folder / name / "decisions.jsonl"))
        self.assertEqual(again.weights, live.weights)
        self.assertEqual(again.decisions, live.decisions)
        for folder in ("model", "model-compact"):
            path = self.folder / name / folder
            if not path.exists():  # the direct form needs no other
                self.assertEqual(folder, "model-compact")
                continue
            self.check_scored(name, live, folder)

    def refused(self, config, *flags, words=()):
        run = Run(DYNAMIC, config, self.folder / "refused", *flags)
        code, errors = run.finish()
        self.assertEqual(code, 2, errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertEqual(run.step(), 0)
        shutil.rmtree(run.out, ignore_errors=True)
        return errors

    def test_bad_replays_are_refused(self):
        other = self.config | {"seed": 7, "neftune_alpha": 5}
        self.refused(other, "--replay", str(self.decisions),
                     words=["/config/seed", "/config/neftune_alpha", "only that run can be replayed"])
        self.refused(self.config, "--replay", str(self.decisions), "--dry-run", words=["only one of"])
        torn = self.folder / "torn.jsonl"
        torn.write_text("\n".join(self.decisions.read_text().splitlines()[:1] + ["{", "{}"]) + "\n")
        run = Run(DYNAMIC, self.config, self.folder / "torn", "--replay", str(torn))
        code, errors = run.finish()
        self.assertEqual(code, 1)
        self.assertIn("torn.jsonl:2", errors)

    def test_rules_on_signals_that_never_come_are_refused(self):
        rules = [{"when": f"{signal} > 2", "set": "stop", "to": True}
                 for signal in ("noise_scale", "train/lwa", "validation/lwa", "heads_alive/0", "loss")]
        config = recipe(self.folder, rules=rules, early_stopping={"enabled": True, "metric": "validation/lwa"})
        config["train"]["accumulation"] = 1
        self.refused(config, words=[
            "/controllers/rules/0/when: noise_scale needs train.accumulation", "/controllers/rules/1/when: train/lwa needs",
            "/controllers/rules/2/when: validation/lwa needs", "/controllers/rules/3/when: heads_alive/0 needs",
            "/controllers/early_stopping/metric: validation/lwa needs"])
        layers = [{"when": f"{signal} > 2", "set": "stop", "to": True}
                  for signal in ("update_ratio/embeddings", "update_ratio/0", "activation_rms/99")]
        errors = self.refused(recipe(self.folder, rules=layers), words=["activation_rms/99: the model has the layers 0"])
        self.assertNotIn("/controllers/rules/1", errors)

    def test_bad_recipes_are_refused(self):
        self.refused(recipe(self.folder, spike={"enabled": True, "window": 0}), words=["/controllers/spike/window"])
        self.refused(recipe(self.folder, spkie={}), words=["/controllers/spkie", "did you mean spike"])
        config = recipe(self.folder, early_stopping={"enabled": True})
        config["train"]["eval_every"] = 0
        self.refused(config, words=["/controllers/early_stopping", "eval_every"])
        config["train"]["eval_every"], config["data"]["held_out"] = 12, []
        self.refused(config, words=["/controllers/early_stopping", "held_out is empty"])
        heads = {"target": 0.9, "start": 1, "end": 9, "every": 1}
        self.refused(recipe(self.folder, pruning={"enabled": True, "heads": heads}),
                     words=["/controllers/pruning/heads"])
        self.refused(recipe(self.folder, pruning={"enabled": True, "heads": heads | {"target": 0.5, "end": 99}}),
                     words=["/controllers/pruning/heads/end"])
        config = pruning_recipe(self.folder)
        config["controllers"] |= {"freezing": {"enabled": True},
                                  "rules": [{"when": "loss > 0", "set": "cut", "to": "heads"}]}
        self.refused(config, words=["/controllers/freezing/enabled", "/controllers/rules/0/set"])
        self.refused(recipe(self.folder, pruning={"enabled": True}), words=["/controllers/pruning/enabled"])
        rules = [{"when": "los > 2", "set": "dropout", "to": 0.2}, {"when": "loss > 2", "set": "stop", "to": 1}]
        self.refused(recipe(self.folder, regularisation={"enabled": True}, rules=rules),
                     words=["/controllers/rules/0/when", "did you mean loss", "/controllers/rules/1/to",
                            "/controllers/rules/0/set: dropout is set by the controller regularisation"])


if __name__ == "__main__":
    DYNAMIC, DOMAIN = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
    unittest.main(verbosity=2)
