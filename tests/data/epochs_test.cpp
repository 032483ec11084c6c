// Whole passes over the text, and how many batches they are.
#include <catch2/catch.hpp>
#include <map>

#include "hone/core/random.h"
#include "hone/data/loader.h"

namespace hone::data {
namespace {

/// Document i of the set has the ids set * 1000 + i.
DatasetPtr make_set(int64_t set, int64_t documents, int64_t longest, double weight = 1) {
  Random random(static_cast<uint64_t>(set + 5));
  auto data = std::make_shared<Dataset>();
  data->name = "set" + std::to_string(set);
  data->weight = weight;
  for (int64_t i = 0; i < documents; ++i) {
    const auto length = static_cast<size_t>(2 + random.below(static_cast<uint64_t>(longest - 1)));
    Example example{std::vector<int64_t>(length, set * 1000 + i), std::vector<int64_t>(length, 1),
                    std::vector<float>(length, 1), 0};
    example.targets.back() = kIgnoreIndex;
    data->examples.push_back(std::move(example));
  }
  data->hash = std::to_string(documents);
  return data;
}

const LoaderOptions kOptions{
    .tokens_per_batch = 96, .window_batches = 4, .seed = 3, .whole_passes = true};

/// How often each document comes in the first `count` batches.
std::map<int64_t, int> drawn(Loader& loader, int64_t count) {
  std::map<int64_t, int> times;
  for (int64_t i = 0; i < count; ++i) {
    const Batch batch = loader.next();
    for (int64_t d = 0; d < batch.documents(); ++d) ++times[batch.input_ids[batch.offsets[d]]];
  }
  return times;
}

TEST_CASE("with epochs every document is drawn exactly so many times") {
  for (const int64_t documents : {1, 7, 90, 333}) {
    for (const Packing packing : {Packing::kBestFit, Packing::kInOrder}) {
      for (const int epochs : {1, 2, 3}) {
        LoaderOptions options = kOptions;
        options.packing = packing;
        Loader loader({make_set(0, documents, 40)}, options);
        const int64_t batches = loader.count_batches(epochs);
        const auto times = drawn(loader, batches);
        REQUIRE(static_cast<int64_t>(times.size()) == documents);
        for (const auto& [document, count] : times) REQUIRE(count == epochs);
      }
    }
  }
}

TEST_CASE("with equal weights the documents of several sets are drawn exactly so many times") {
  Loader loader({make_set(0, 90, 30), make_set(1, 25, 64), make_set(2, 3, 10)}, kOptions);
  const auto times = drawn(loader, loader.count_batches(2));
  REQUIRE(times.size() == 118);
  for (const auto& [document, count] : times) REQUIRE(count == 2);
}

TEST_CASE("with weights an epoch is as many tokens as the sets have together") {
  const std::vector<DatasetPtr> sets{make_set(0, 90, 30), make_set(1, 40, 30, 3),
                                     make_set(2, 500, 30, 0)};
  int64_t tokens = 0;
  for (int i = 0; i < 2; ++i) {
    for (const Example& example : sets[i]->examples) tokens += example.length();
  }
  Loader loader(sets, kOptions);
  const int64_t batches = loader.count_batches(1.5);
  drawn(loader, batches - 1);
  const auto total = [&] { return loader.tokens_drawn()[0] + loader.tokens_drawn()[1]; };
  CHECK(static_cast<double>(total()) < 1.5 * static_cast<double>(tokens));
  loader.next();
  CHECK(static_cast<double>(total()) >= 1.5 * static_cast<double>(tokens));
  CHECK(loader.tokens_drawn()[2] == 0);
}

TEST_CASE("counting batches changes nothing, and what came before does not count") {
  const std::vector<DatasetPtr> sets{make_set(0, 90, 30)};
  Loader counted(sets, kOptions), plain(sets, kOptions);
  const int64_t whole = counted.count_batches(1);
  CHECK(counted.count_batches(1) == whole);
  CHECK(counted.count_batches(0.5) < whole);
  CHECK(counted.count_batches(1, 7) >= whole - 1);
  for (int i = 0; i < 40; ++i) REQUIRE(counted.next() == plain.next());
}

TEST_CASE("a loader of whole passes goes on from its state with the same batches") {
  const std::vector<DatasetPtr> sets{make_set(0, 50, 30), make_set(1, 20, 30)};
  Loader whole(sets, kOptions);
  std::vector<Batch> batches;
  for (int i = 0; i < 60; ++i) batches.push_back(whole.next());
  for (int at = 1; at < 40; at += 3) {
    Loader first(sets, kOptions), second(sets, kOptions);
    for (int i = 0; i < at; ++i) first.next();
    second.restore(Json::parse(first.state().dump()));
    for (int i = at; i < 60; ++i) REQUIRE(second.next() == batches[i]);
  }
}

TEST_CASE("new weights in the middle of a pass lose no token of it") {
  const std::vector<DatasetPtr> sets{make_set(0, 50, 30), make_set(1, 20, 30)};
  Loader loader(sets, kOptions);
  const int64_t batches = loader.count_batches(1);
  drawn(loader, 3);
  loader.set_weights({1, 1});
  auto times = drawn(loader, batches - 3 + 2);
  CHECK(loader.tokens_drawn()[0] + loader.tokens_drawn()[1] > 0);
  CHECK(times.size() <= 70);
}

}  // namespace
}  // namespace hone::data
