"""What the recipe's knobs do to a run: domain_behaviour.py HONE_DOMAIN.

1. A domain's weight lowers that domain's perplexity against weight 1, same seed and batches, and a
   weight on key entities changes the run too.
2. The guard that stops goes back to the last evaluation within its limit, and that model is saved.
3. The guard that rebalances raises the guarded domain's share and ends nearer to the base.
4. A run repeated is the same run: equal metrics but for the clock.
"""
import json
import pathlib
import sys
import tempfile

from support import check_close, data_sets, run, small_base


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("tokens_per_second", None)
    return rows


def perplexity(report, domain, when="after"):
    return next(s["perplexity"] for s in report[when]["domains"] if s["name"] == domain)


def main():
    hone = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        data, _ = data_sets(work)
        run(hone, small_base(data), work / "base")
        mixed = {**data, "train": [data["train"][0], {**data["train"][1], "weight": 0.2}]}
        recipe = {"about": "adapt", "model": str(work / "base/model"), "data": mixed,
                  "train": {"steps": 40, "lr": 2e-3}}

        plain = run(hone, recipe, work / "plain")
        weighted = run(hone, {**recipe, "weights": {"domains": {"medicine": 4.0}}}, work / "weighted")
        print("medicine:", perplexity(plain, "medicine"), "with weight 4:", perplexity(weighted, "medicine"))
        assert perplexity(weighted, "medicine") < 0.98 * perplexity(plain, "medicine")

        entities = {"entity_file": str(work / "data/medicine.terms.txt"), "entity_multiplier": 3.0}
        terms = run(hone, {**recipe, "weights": entities}, work / "terms")
        assert terms["data"]["train"][1]["counts"]["entity_tokens"] > 1000
        assert metrics(work / "terms") != metrics(work / "plain")

        repeated = run(hone, recipe, work / "repeated")
        assert metrics(work / "repeated") == metrics(work / "plain")
        assert repeated["after"] == plain["after"]

        again = run(hone, recipe, work / "plain", "--resume")
        assert again == plain, "resuming a run that has ended must change nothing"

        narrow = {**recipe, "data": {**data, "train": data["train"][1:]},
                  "train": {"steps": 60, "lr": 5e-3, "eval_every": 10}}
        guard = {"domain": "general", "max_ratio": 1.05}
        stopped = run(hone, {**narrow, "guard": guard}, work / "stopped")
        step = stopped["guard"]["returned_to"]
        assert stopped["ending"] == "stopped by the guard" and step < 60 and stopped["guard"]["last_ratio"] > 1.05
        assert stopped["guard"]["verdict"] == "held" and stopped["guard"]["ratio"] <= 1.05
        assert stopped["after"]["step"] == step
        assert perplexity(stopped, "general") <= 1.05 * perplexity(stopped, "general", "before")
        scored = run(hone, {"about": "score", "model": str(work / "stopped/model"),
                            "data": {"held_out": data["held_out"]}, "train": {"steps": 0}}, work / "scored")
        check_close(perplexity(scored, "general"), perplexity(stopped, "general"), "the model that the guard saved")

        mix = {**narrow, "data": mixed | {"train": [{**data["train"][0], "weight": 0.02}, data["train"][1]]}}
        free = run(hone, mix, work / "free")
        balanced = run(hone, {**mix, "guard": {**guard, "action": "rebalance", "rebalance_factor": 10}}, work / "balanced")
        shares = [row["shares"]["general"] for row in metrics(work / "balanced") if "shares" in row]
        print("general:", perplexity(free, "general"), "rebalanced:", perplexity(balanced, "general"), "shares", shares[0], shares[-1])
        assert max(shares) > 3 * shares[0]
        assert perplexity(balanced, "general") < perplexity(free, "general")
        assert balanced["guard"]["verdict"] == "held" and balanced["guard"]["ratio"] <= 1.05


if __name__ == "__main__":
    main()
