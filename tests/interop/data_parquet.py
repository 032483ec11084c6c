"""Parquet files as pyarrow writes them, read by hone's reader: the same rows, whatever the codec, the encodings, the
version of the pages and the nesting.

    data_parquet.py PARQUET_TOOL              compares
    data_parquet.py --fixtures FOLDER         writes the files of tests/data/parquet
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

TURN = pa.struct([("role", pa.string()), ("content", pa.string())])


def chats(rows, seed=0):
    """Rows as hubs serve them: conversations, repeated sources, nulls, numbers."""
    rng = random.Random(seed)
    words = "heart attack aspirin court appeal 心臓 naïve \U0001f600 \n\t\"".split(" ")

    def text():
        return " ".join(rng.choice(words) for _ in range(rng.randrange(0, 12)))

    table = []
    for i in range(rows):
        messages = [{"role": ["user", "assistant"][j % 2], "content": text()} for j in range(rng.randrange(0, 5))]
        table.append({
            "messages": None if rng.random() < 0.1 else messages,
            "source": rng.choice(["wiki", "pubmed", None]),
            "score": None if rng.random() < 0.2 else rng.uniform(-1, 1),
            "id": i * 1_000_003 - 500, "small": i % 7, "ok": None if i % 5 == 0 else i % 2 == 0,
            "tags": None if i % 11 == 0 else [rng.choice(["a", "b", None]) for _ in range(i % 4)],
            "meta": None if i % 6 == 0 else {"lang": rng.choice(["en", None]), "nested": {"deep": [[1, 2], [], None, [i]]}},
        })
    schema = pa.schema([
        ("messages", pa.list_(TURN)), ("source", pa.string()), ("score", pa.float64()), ("id", pa.int64()),
        ("small", pa.int32()), ("ok", pa.bool_()), ("tags", pa.list_(pa.string())),
        ("meta", pa.struct([("lang", pa.string()), ("nested", pa.struct([("deep", pa.list_(pa.list_(pa.int64())))]))]))])
    return pa.Table.from_pylist(table, schema)


def odd_types():
    """Types at the edge: large strings, unsigned, fixed lists, maps, bytes, dates, all nulls, no rows between."""
    return pa.table({
        "large": pa.array(["x", None, "é" * 300], pa.large_string()),
        "unsigned": pa.array([2**63 + 5, 0, None], pa.uint64()),
        "u8": pa.array([255, 0, 1], pa.uint8()),
        "pair": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int32(), 2)),
        "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "bytes": pa.array([b"plain", b"\xff\xfe", None], pa.binary()),
        "fixed": pa.array([b"abc", b"def", None], pa.binary(3)),
        "none": pa.array([None, None, None], pa.string()),
        "null": pa.nulls(3),
        "float": pa.array([1.5, float("nan"), float("inf")], pa.float32()),
        "required": pa.array([1, 2, 3], pa.int64()),
        "cat": pa.array(["a", "b", "a"]).dictionary_encode(),
    })


def expected(value, column):
    """The row's value as hone gives it: bytes that are no text, and numbers that are not finite, are null."""
    if isinstance(value, bytes):
        if column == "fixed":
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, tuple):
        return {"key": value[0], "value": value[1]}
    if isinstance(value, list):
        return [expected(item, column) for item in value]
    return value


def rows_of(table):
    return [{key: expected(value, key) for key, value in row.items()} for row in table.to_pylist()]


def options():
    """Ways to write a table."""
    for codec in ("none", "snappy", "gzip", "zstd"):
        yield {"compression": codec}
        yield {"compression": codec, "data_page_version": "2.0", "use_dictionary": False}
    yield {"row_group_size": 7}
    yield {"data_page_size": 64, "write_batch_size": 3}
    yield {"data_page_size": 64, "write_batch_size": 3, "data_page_version": "2.0"}
    yield {"write_page_checksum": True}
    yield {"version": "1.0"}
    yield {"use_compliant_nested_type": False}
    yield {"dictionary_pagesize_limit": 16}
    yield {"use_dictionary": False, "write_statistics": False, "store_schema": False}


ENCODINGS = [("id", "DELTA_BINARY_PACKED"), ("small", "DELTA_BINARY_PACKED"), ("source", "DELTA_LENGTH_BYTE_ARRAY"),
             ("source", "DELTA_BYTE_ARRAY"), ("score", "BYTE_STREAM_SPLIT"), ("id", "BYTE_STREAM_SPLIT"),
             ("ok", "RLE"), ("source", "PLAIN")]


def files(folder):
    """Every file with the rows that it must give."""
    count = 0
    for rows in (0, 1, 50, 3000):
        table = chats(rows, rows)
        for how in options():
            if rows == 3000 and how.get("data_page_size") == 64 and "data_page_version" in how:
                continue
            path = folder / f"{(count := count + 1)}.parquet"
            pq.write_table(table, path, **how)
            yield path, rows_of(table), how
        for column, encoding in ENCODINGS:
            path = folder / f"{(count := count + 1)}.parquet"
            pq.write_table(table, path, use_dictionary=False, column_encoding={column: encoding})
            yield path, rows_of(table), (column, encoding)
    for how in options():
        path = folder / f"{(count := count + 1)}.parquet"
        pq.write_table(odd_types(), path, **how)
        yield path, rows_of(odd_types()), how


def compare(tool):
    checked = 0
    with tempfile.TemporaryDirectory() as work:
        for path, want, how in files(pathlib.Path(work)):
            done = subprocess.run([tool, path], capture_output=True, text=True, check=True)
            lines = done.stdout.split("\n")[:-2]
            got = [json.loads(line) if line.startswith("{") else line for line in lines]
            assert len(got) == len(want), f"{how}: {len(got)} rows for {len(want)}: {lines[-1:]}"
            for i, (ours, theirs) in enumerate(zip(got, want)):
                assert ours == theirs, f"{how}: row {i}\n{ours}\n{theirs}"
            checked += 1
        for codec, name in (("brotli", "brotli"), ("lz4", "LZ4")):
            path = pathlib.Path(work) / "codec.parquet"
            pq.write_table(chats(5), path, compression=codec)
            out = subprocess.run([tool, path], capture_output=True, text=True, check=True).stdout
            assert f"uses the compression {name}" in out, out
    print(f"{checked} files read as pyarrow reads them")


def fixtures(folder):
    folder.mkdir(parents=True, exist_ok=True)
    turns = [[{"role": "user", "content": "q one"}, {"role": "assistant", "content": "a one"}],
             [{"role": "user", "content": "q two"}, {"role": "assistant", "content": "a two"}],
             [{"role": "user", "content": "心"}, {"role": "assistant", "content": "臓"}]]
    table = pa.table({"messages": pa.array(turns, pa.list_(TURN)), "source": ["wiki", "wiki", None],
                      "tags": pa.array([["x", None], None, []], pa.list_(pa.string()))})
    pq.write_table(table, folder / "hub.parquet", compression="snappy", row_group_size=2)
    text = pa.table({"text": [f"document {i % 3} of {i}" for i in range(40)], "n": list(range(40))})
    pq.write_table(text, folder / "delta.parquet", compression="zstd", data_page_version="2.0", use_dictionary=False,
                   data_page_size=128, write_batch_size=8,
                   column_encoding={"text": "DELTA_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED"})
    pair = pa.table({"question": ["q1 ", "q2 "], "answer": ["a1", "a2"], "image": [b"\xff\xd8", None]})
    pq.write_table(pair, folder / "pair.parquet", compression="gzip", write_page_checksum=True)


if __name__ == "__main__":
    if sys.argv[1] == "--fixtures":
        fixtures(pathlib.Path(sys.argv[2]))
    else:
        compare(sys.argv[1])
