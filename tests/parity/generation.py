"""hone's generation beside transformers' generate: greedy ids of ragged prompts, alone and padded,
with repetition penalty, eos and stop strings; cached logits; logits processors; sampled tokens'
distribution; log-likelihoods as lm_eval computes them. Usage: generation.py <generation_tool>"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from scipy.stats import chisquare
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LogitsProcessorList, PreTrainedTokenizerFast
from transformers.generation import logits_process as processors

from support import Checks, forget_lengths, make_model

# Weights this wide (initializer_range 0.5) magnify rounding: transformers' own float32 logits lie up
# to 2e-5 of the largest away from those it computes in float64.
LOGITS = 3e-5
# Greedy ids are comparable where the best two logits lie this far apart at every choice, which the
# test asserts of transformers' scores and the seeds in CASES were chosen for: several times what
# rounding moves them, 3e-4 at most.
MARGIN = 1e-3
NEW, PAD, EOS = 64, 0, 1
LENGTHS = [5, 1, 12, 20, 7]
TEXT = ["the quick brown fox jumps over the lazy dog; it was not amused, was it?",
        "she sells sea shells on the sea shore. The shells that she sells are sea shells!",
        "peter piper picked a peck of pickled peppers, and then he put them all into the pot."]


def rope(**scaling):
    return dict(rope_parameters=dict({"rope_theta": 10000.0}, **scaling))


CASES = {
    "llama": ("llama", 1, {}),
    "llama-mha-biases": ("llama", 0, dict(num_key_value_heads=4, attention_bias=True, mlp_bias=True)),
    "llama-yarn": ("llama", 0, rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=16)),
    "llama-llama3": ("llama", 0, rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                   high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama-dynamic": ("llama", 1, dict(rope(rope_type="dynamic", factor=4.0),
                                    max_position_embeddings=32)),
    "qwen2": ("qwen2", 0, dict(num_key_value_heads=1)),
    "qwen3": ("qwen3", 1, {}),
    "qwen3-moe": ("qwen3_moe", 0, {}),
    "v2-yarn": ("deepseek_v2", 0, rope(rope_type="yarn", factor=8.0, mscale=0.7, mscale_all_dim=0.7,
                                       original_max_position_embeddings=16)),
    "v3": ("deepseek_v3", 0, {}),
    "v32": ("deepseek_v32", 0, {}),
    "v4": ("deepseek_v4", 0, dict(use_cache=True)),
    "v3-plain-query": ("deepseek_v3", 0, dict(q_lora_rank=None, n_group=1, topk_group=1)),
    "qwen3-tied-head-dim": ("qwen3", 7, dict(tie_word_embeddings=True, head_dim=20)),
}


def make_tokenizer(folder):
    """Byte level, with <pad> 0 and <eos> 1; the models have a few rows more."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<pad>", "<eos>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(str(folder / "tokenizer.json"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def make_checkpoints(root, tokenizer):
    found = {}
    for name, (family, seed, changes) in CASES.items():
        changes = dict(dict(max_position_embeddings=256, initializer_range=0.5), **changes)
        model = make_model(family, seed, vocab_size=len(tokenizer) + 6, pad_token_id=PAD,
                           bos_token_id=None, eos_token_id=EOS, **changes)
        with torch.no_grad():  # mostly ASCII is generated, so that texts hold what can be searched
            for token, index in tokenizer.get_vocab().items():
                if index in (PAD, EOS) or not token.isascii() and "Ġ" not in token:
                    model.lm_head.weight[index] *= 0.05
            # Ids without a token: StopStringCriteria matches nothing across them, though decoded
            # texts, which hone searches, leave them out.
            model.lm_head.weight[len(tokenizer):] *= 0.05
        model.save_pretrained(root / name)
        tokenizer.backend_tokenizer.save(str(root / name / "tokenizer.json"))
        found[name] = model
    return found


def ids_of(length, seed, vocabulary=300):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, vocabulary, (length,), generator=generator).tolist()


PROMPTS = [ids_of(length, 50 + length) for length in LENGTHS]


def reference(model, prompts, **options):
    """New ids of each prompt by itself, and the smallest margin of any choice."""
    results, margin = [], float("inf")
    for prompt in prompts:
        forget_lengths(model)
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                             max_new_tokens=NEW, pad_token_id=PAD, return_dict_in_generate=True,
                             output_scores=True, **options)
        best = torch.cat(out.scores).topk(2).values
        margin = min(margin, (best[:, 0] - best[:, 1]).min().item())
        results.append(out.sequences[0, len(prompt):].tolist())
    return results, margin


def padded_reference(model, prompts, **options):
    """The same from one batch with padding on the left, cut behind the eos."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    forget_lengths(model)
    out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW,
                         pad_token_id=PAD, **options)
    return out[:, width:].tolist()


class Jobs:
    """Collects jobs with what checks their answers, and runs them in one process."""

    KINDS = ["process", "steps", "generate", "score", "encode"]

    def __init__(self):
        self.jobs = {kind: [] for kind in self.KINDS}

    def add(self, kind, job, check):
        self.jobs[kind].append((job, check))

    def run(self, tool, root):
        path = root / "jobs.json"
        path.write_text(json.dumps({k: [j for j, _ in jobs] for k, jobs in self.jobs.items()}))
        done = subprocess.run([tool, str(path)], capture_output=True, text=True,
                              env=dict(os.environ, OMP_NUM_THREADS="1"))
        if done.returncode != 0:
            raise SystemExit(f"generation_tool failed: {done.stderr}")
        checks = [check for kind in self.KINDS for _, check in self.jobs[kind]]
        for line, check in zip(done.stdout.splitlines(), checks, strict=True):
            check(json.loads(line))


def add_greedy(jobs, checks, root, name, model, tokenizer):
    def add(label, sampling, compare, **job):
        def check(results):
            for number, result in enumerate(results):
                compare(f"{name} {label} {number}", number, result)
        jobs.add("generate", dict(model=str(root / name), prompts=PROMPTS, sampling=dict(
            max_new_tokens=NEW, **sampling), **job), check)

    def equal(wanted, finish):
        def compare(label, number, result):
            checks.true(f"{label}: ids {result['ids']}, wanted {wanted[number]}",
                        result["ids"] == wanted[number])
            text = tokenizer.decode(wanted[number], skip_special_tokens=True)
            checks.true(f"{label}: text {result['text']!r}, wanted {text!r}", result["text"] == text)
            checks.true(f"{label}: finish {result['finish']}", result["finish"] == finish(wanted[number]))
        return compare

    def by_eos(eos):
        return lambda ids: "stop" if ids[-1] in eos else "length"

    free, margin = reference(model, PROMPTS, eos_token_id=None)
    checks.true(f"{name}: margin {margin:.1e}", margin > MARGIN)
    checks.true(f"{name}: texts differ", len(set(map(tuple, free))) == len(free))
    for batch in (1, 3, 8):
        add(f"greedy batch {batch}", dict(stop_ids=[]), equal(free, by_eos([])), max_batch=batch,
            prefill_tokens=15)
    # There, padding takes each row's stretch from the longest; or entries are made of padding too.
    if "dynamic" not in name and name != "v4":
        checks.true(f"{name}: padded equals alone",
                    padded_reference(model, PROMPTS, eos_token_id=None) == free)

    penalised, margin = reference(model, PROMPTS, eos_token_id=None, repetition_penalty=1.3)
    checks.true(f"{name}: penalised margin {margin:.1e}", margin > MARGIN)
    checks.true(f"{name}: the penalty matters", penalised != free)
    add("penalised", dict(stop_ids=[], repetition_penalty=1.3), equal(penalised, by_eos([])))

    eos = [penalised[0][9], penalised[3][30]]
    stopped, margin = reference(model, PROMPTS, eos_token_id=eos, repetition_penalty=1.3)
    checks.true(f"{name}: eos stops some", any(len(ids) < NEW for ids in stopped))
    # Without stop_ids the tool takes those of the folder.
    (root / name / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
    add("eos", dict(repetition_penalty=1.3), equal(stopped, by_eos(eos)))

    add_stop_strings(add, checks, model, tokenizer, name, penalised)


def add_stop_strings(add, checks, model, tokenizer, name, free):
    """Two strings out of the texts that are generated without them: three characters that begin
    and end within tokens wherever that is so, and one that a token holds."""
    texts = [tokenizer.decode(ids) for ids in free]
    strings = [next(text[i:i + 3] for i in range(12, len(text)) if text[i:i + 3].isascii())
               for text in texts[2:4]]
    wanted, _ = reference(model, PROMPTS, eos_token_id=None, repetition_penalty=1.3,
                          stop_strings=strings, tokenizer=tokenizer)
    checks.true(f"{name}: stop strings stop some", any(len(ids) < NEW for ids in wanted))

    def compare(label, number, result):
        checks.true(f"{label}: ids {result['ids']}, wanted {wanted[number]}",
                    result["ids"] == wanted[number])
        text = tokenizer.decode(wanted[number], skip_special_tokens=True)
        places = [text.find(s) for s in strings if s in text]
        text = text[:min(places)] if places else text
        checks.true(f"{label}: text {result['text']!r}, wanted {text!r}", result["text"] == text)
        checks.true(f"{label}: finish", result["finish"] == ("stop_string" if places else "length"))

    add("stop strings", dict(stop_ids=[], stop_strings=strings, repetition_penalty=1.3), compare)


def add_steps(jobs, checks, root, name, model):
    documents = [ids_of(n + 30, 90 + n) for n in LENGTHS]
    out = root / f"{name}.steps.safetensors"

    def check(_):
        got = load_file(out)
        for number, (document, prompt) in enumerate(zip(documents, LENGTHS)):
            ids, cut = torch.tensor([document]), prompt
            forget_lengths(model)
            with torch.no_grad():
                if "dynamic" in name:  # a kept key's rotation is that of its time, there too
                    first = model(ids[:, :cut], use_cache=True)
                    rows, cache = [first.logits[0]], first.past_key_values
                    for i in range(cut, ids.shape[1]):
                        rows.append(model(ids[:, i:i + 1], past_key_values=cache).logits[0])
                    wanted = torch.cat(rows)
                else:
                    wanted = model(ids).logits[0]
            checks.close(f"{name} cached logits {number}", got[str(number)], wanted, LOGITS)

    jobs.add("steps", dict(model=str(root / name), out=str(out), documents=documents,
                           prompts=LENGTHS), check)


def add_sampling(jobs, checks, root, name, model):
    """One prompt many times: the first tokens' counts against transformers' probabilities."""
    prompt, copies = PROMPTS[0], 4000
    options = dict(temperature=12.0, top_k=12, top_p=0.9, min_p=0.02)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[:, -1]
    probabilities = processors.TemperatureLogitsWarper(12.0)(None, logits)
    for warper in (processors.TopKLogitsWarper(12), processors.TopPLogitsWarper(0.9),
                   processors.MinPLogitsWarper(0.02)):
        probabilities = warper(None, probabilities)
    probabilities = probabilities.softmax(-1)[0].double()
    kept = probabilities > 0
    checks.true(f"{name}: {int(kept.sum())} tokens are left to sample", 4 <= kept.sum() <= 12)

    def job(count, batch, new, check):
        jobs.add("generate", dict(model=str(root / name), prompts=[prompt] * count, max_batch=batch,
                                  sampling=dict(options, max_new_tokens=new, stop_ids=[], seed=3)),
                 check)

    def check_counts(results):
        counts = torch.zeros(len(probabilities), dtype=torch.double)
        for result in results:
            counts[result["ids"][0]] += 1
        checks.true(f"{name}: only kept tokens are sampled", counts[~kept].sum() == 0)
        wanted = probabilities[kept] / probabilities[kept].sum() * copies
        p = chisquare(counts[kept].numpy(), wanted.numpy()).pvalue
        checks.true(f"{name}: chi-square of the sampled tokens, p = {p:.1e}", p > 1e-3)

    seen = []

    def check_batching(results):
        seen.append([r["ids"] for r in results])
        checks.true(f"{name}: sampled ids do not depend on the batch", seen[0] == seen[-1])
        checks.true(f"{name}: copies of a prompt differ", len(set(map(tuple, seen[0]))) > 1)

    job(copies, 500, 1, check_counts)
    job(7, 1, 20, check_batching)
    job(7, 3, 20, check_batching)


def add_processors(jobs, checks, root):
    torch.manual_seed(5)
    rows = torch.randn(40, 211) * torch.linspace(0.1, 8, 40)[:, None]
    rows[3, 10:20] = rows[3, 10]  # ties
    rows[4] = 1.5
    rows[5, 7:] = -float("inf")
    save_file({"logits": rows}, root / "rows.safetensors")
    ids = [3, 17, 17, 200, 0, 3]
    make = dict(repetition_penalty=processors.RepetitionPenaltyLogitsProcessor,
                temperature=processors.TemperatureLogitsWarper, top_k=processors.TopKLogitsWarper,
                top_p=processors.TopPLogitsWarper, min_p=processors.MinPLogitsWarper)
    cases = [dict(repetition_penalty=1.7), dict(repetition_penalty=0.6), dict(temperature=0.7),
             dict(temperature=3.0), dict(top_k=1), dict(top_k=15), dict(top_k=500),
             dict(top_p=0.0), dict(top_p=0.3), dict(top_p=0.9), dict(top_p=0.999), dict(min_p=0.05),
             dict(min_p=1.0), dict(temperature=0.8, top_k=50, top_p=0.95),
             dict(repetition_penalty=1.2, temperature=1.5, top_k=40, top_p=0.8, min_p=0.1)]
    for number, case in enumerate(cases):
        out = root / f"rows{number}.safetensors"
        # In the order of transformers' _get_logits_processor, which is that of `make`.
        chain = LogitsProcessorList([make[key](case[key]) for key in make if key in case])
        wanted = chain(torch.tensor([ids] * len(rows)), rows.clone())

        def check(_, case=case, out=out, wanted=wanted):
            got = load_file(out)["logits"]
            # Which of equal logits TopPLogitsWarper drops is left to an unstable sort: rows with
            # ties are compared by what remains of them.
            for rows, form in ((slice(0, 3), torch.clone), (slice(3, 5), lambda x: x.sort().values),
                               (slice(5, None), torch.clone)):
                ours, theirs = form(got[rows]), form(wanted[rows])
                checks.true(f"{case} rows {rows}: the same tokens are dropped",
                            torch.equal(ours.isinf(), theirs.isinf()))
                both = ~theirs.isinf() & ~ours.isinf()
                checks.close(f"{case} rows {rows}", ours[both], theirs[both], 1e-6)

        sampling = dict(dict(temperature=1.0), **case)
        if set(case) == {"repetition_penalty"}:
            sampling.pop("temperature")  # greedy: the penalty stands alone
        jobs.add("process", dict(rows=str(root / "rows.safetensors"), out=str(out), ids=ids,
                                 sampling=sampling), check)


def add_scores(jobs, checks, root, name, model):
    contexts, continuations = [], []
    for question in range(6):
        context = ids_of(4 + 5 * question, 200 + question)
        for choice in range(4):  # of one token in every other question, which share one document
            contexts.append(context)
            continuations.append(ids_of(1 + (question % 2) * (choice + 2), 300 + 10 * question + choice))
    contexts.append(PROMPTS[3])
    continuations.append(reference(model, [PROMPTS[3]], eos_token_id=None)[0][0][:9])  # greedy
    wanted = []
    for context, continuation in zip(contexts, continuations):
        forget_lengths(model)
        with torch.no_grad():
            logits = model(torch.tensor([(context + continuation)[:-1]])).logits[0]
        log_p = logits.log_softmax(-1)[-len(continuation):]
        ids = torch.tensor(continuation)
        wanted.append((log_p.gather(1, ids[:, None]).double().sum().item(), len(continuation),
                       bool((log_p.argmax(-1) == ids).all())))
    checks.true(f"{name}: some are greedy", any(w[2] for w in wanted) and not all(w[2] for w in wanted))

    def check(results):
        for number, (got, (total, tokens, greedy)) in enumerate(zip(results, wanted, strict=True)):
            label = f"{name} log-likelihood {number}"
            checks.true(f"{label}: {got['sum']}, wanted {total}",
                        abs(got["sum"] - total) <= 1e-5 * max(1, abs(total)))
            checks.true(f"{label}: tokens and greedy", (got["tokens"], got["greedy"]) == (tokens, greedy))

    for budget in (4096, 60):
        jobs.add("score", dict(model=str(root / name), contexts=contexts, continuations=continuations,
                               tokens_per_batch=budget), check)


def add_boundaries(jobs, checks, root, tokenizer):
    pairs = [("the quick", " brown"), ("the quick ", "brown"), ("the qu", "ick fox"),
             ("she sells \u3000\n", "shells"), ("sea", " s"), ("", "peter"), ("a\u200b", "b")]

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False)

    def by_lm_eval(context, continuation):
        spaces = len(context) - len(context.rstrip())
        if spaces > 0:
            continuation = context[-spaces:] + continuation
            context = context[:-spaces]
        whole, length = encode(context + continuation), len(encode(context))
        return [[EOS] + whole[:length], whole[length:]]

    def check(results):
        for pair, got in zip(pairs, results, strict=True):
            checks.true(f"boundary of {pair}: {got}, wanted {by_lm_eval(*pair)}", got == by_lm_eval(*pair))

    jobs.add("encode", dict(tokenizer=str(root / "tokenizer.json"), contexts=[a for a, _ in pairs],
                            continuations=[b for _, b in pairs], prefix=[EOS]), check)


def main():
    tool, checks, jobs = sys.argv[1], Checks(), Jobs()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        tokenizer = make_tokenizer(root)
        found = make_checkpoints(root, tokenizer)
        add_processors(jobs, checks, root)
        for name, model in found.items():
            add_steps(jobs, checks, root, name, model)
            add_greedy(jobs, checks, root, name, model, tokenizer)
            add_scores(jobs, checks, root, name, model)
        add_sampling(jobs, checks, root, "llama", found["llama"])
        add_boundaries(jobs, checks, root, tokenizer)
        jobs.run(tool, root)
    checks.finish()


main()
