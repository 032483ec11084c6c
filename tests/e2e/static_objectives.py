"""Every objective of hone-static on a model that has learned its answers and one that has not:
static_objectives.py <hone-static> <hone-domain>

The task is to answer each question by the same words. A rate of 0.03 learns that within 60 steps, so that the texts
are right and every text metric is at its best; a rate of 1e-9 learns nothing, and every one is near its worst.
"""
import json
import math
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import support  # noqa: E402
import sweeps  # noqa: E402
import tiny_run  # noqa: E402

ANSWER = " the river stone of a writ"
# Metric: options, least value of the learned model, greatest of the other.
TEXT = {"exact_match": ({"extract": r"\b(the .* writ)\b"}, 1, 0), "token_f1": ({}, 1, 0.5), "bleu": ({}, 99.99, 20), "chrf": ({}, 99.99, 40),
        "rouge1": ({}, 1, 0.5), "rouge2": ({}, 1, 0.5), "rougeL": ({"rouge_stemmer": True}, 1, 0.5),
        "rougeLsum": ({}, 1, 0.5)}


def rows(folder):
    words = tiny_run.WORDS[:8]
    pairs = [f"{a} {b}:" for a in words for b in words]
    train, questions, choices = (folder / f"{name}.jsonl" for name in ("train", "questions", "choices"))
    train.write_text("".join(json.dumps({"prompt": p, "completion": ANSWER}) + "\n" for p in pairs))
    questions.write_text("".join(json.dumps({"prompt": p, "reference": ANSWER.strip()}) + "\n" for p in pairs[:6]))
    choices.write_text("".join(json.dumps({"question": p, "answer": i % 3,
                                           "choices": ["fever", "court clause", "nerve"][:i % 3]
                                           + [ANSWER.strip()] + ["judge", "bone"][i % 3:]}) + "\n"
                               for i, p in enumerate(pairs[:9])))
    return train, questions, choices


def objectives(questions, choices):
    generation = {"max_new_tokens": 20}
    return ([{"metric": name, "file": str(questions), "max_rows": 4, "generation": generation, **options}
             for name, (options, _, _) in TEXT.items()]
            + [{"metric": "accuracy", "file": str(choices)},
               {"metric": "accuracy", "file": str(choices), "length_normalised": True},
               {"metric": "loss"}, {"metric": "perplexity", "domains": ["general"]},
               {"metric": "parameters"}, {"metric": "latency"}, {"metric": "step_time"},
               {"metric": "command", "direction": "minimize",
                "command": "echo looking at \"$1\"; stat -c %s \"$1\"/model.safetensors"}])


def main():
    static, domain = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        tiny_run.make_data(work)
        train, questions, choices = rows(work)
        base = sweeps.base_recipe(work, steps=60)
        base["data"]["train"] = [{"name": "train", "domain": "general", "files": [str(train)]}]
        base["train"].update(eval_every=0)
        base["architecture"].update(hidden_size=32, intermediate_size=64)
        asked = objectives(questions, choices)
        sweep = sweeps.Sweep(static, sweeps.recipe(
            work, trials=5, base=base, objectives=asked, sampler={"kind": "random", "seed": 3},
            space={"/train/lr": {"type": "categorical", "choices": [1e-9, 0.03]}}), work / "sweep")
        done = sweep.finish()
        assert done.returncode == 0, done.stderr + sweep.log()
        trials = sweep.trials()
        assert {row["params"]["/train/lr"] for row in trials} == {0, 1}
        for row in trials:
            assert row["state"] == "COMPLETE", row
            learned = row["params"]["/train/lr"] == 1
            values = [row["values"][i] for i in range(len(asked))]
            for value, (metric, (_, best, worst)) in zip(values, TEXT.items()):
                print(f"{'learned' if learned else 'not'}: {metric} {value:.6g}")
                assert value >= best if learned else value <= worst, metric
            accuracy, normalised, loss, perplexity, parameters, latency, step_time, size = values[len(TEXT):]
            print(f"accuracy {accuracy} {normalised}, latency {latency} ms, step {step_time} s, {size} bytes")
            assert accuracy == normalised == 1 if learned else accuracy < 0.9
            assert math.isclose(perplexity, math.exp(loss))
            assert parameters == row["user"]["hone:parameters"]
            assert 4 * parameters < size < 4 * parameters + 10000, "the command sees the trial's float32 weights"
            assert latency > 0 and step_time > 0
            assert not (sweep.out / f"trials/{row['number']:05}/model").exists(), "models are not kept"

        # One objective that only the trained model shows: maximised, and its best is the learned one.
        sweep = sweeps.Sweep(static, sweeps.recipe(
            work, trials=4, base=base, objectives=[asked[0]], sampler={"kind": "random", "seed": 3},
            space={"/train/lr": {"type": "categorical", "choices": [1e-9, 0.03]}}), work / "exact")
        assert sweep.finish().returncode == 0, sweep.log()
        report = sweep.report()
        assert report["best"]["values"] == [1.0] and report["best"]["standard_errors"] == [0.0]
        learned = [row["number"] for row in sweep.trials() if row["values"][0] == 1]
        assert [report["best"]["number"], *report["ties"]["equal"]] == learned, report["ties"]
        best = json.loads((sweep.out / "best.json").read_text())
        assert best["train"]["lr"] == 0.03
        support.run(domain, best, work / "best")


if __name__ == "__main__":
    main()
