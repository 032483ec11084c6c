#include "hone/data/loader.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <thread>

#include "hone/core/error.h"
#include "hone/core/random.h"

namespace hone::data {
namespace {

using Catch::Contains;

/// A set whose ids name set and document: id = set * 1000 + document.
Dataset make_set(int64_t set, int64_t documents, int64_t longest) {
  Random random(set + 1);
  Dataset data{.name = "set" + std::to_string(set), .domain = "d"};
  for (int64_t i = 0; i < documents; ++i) {
    const auto length = static_cast<size_t>(2 + random.below(longest - 1));
    Example example{std::vector<int64_t>(length, set * 1000 + i), std::vector<int64_t>(length, 1),
                    std::vector<float>(length, 1), static_cast<int32_t>(set)};
    example.targets.back() = kIgnoreIndex;
    data.examples.push_back(std::move(example));
  }
  data.hash = "h" + std::to_string(documents);
  return data;
}

std::vector<Dataset> two_sets() { return {make_set(0, 90, 30), make_set(1, 25, 64)}; }

std::vector<DatasetPtr> share(std::vector<Dataset> sets) {
  std::vector<DatasetPtr> shared;
  for (Dataset& set : sets) shared.push_back(std::make_shared<const Dataset>(std::move(set)));
  return shared;
}

std::vector<Batch> take(Loader& loader, int count) {
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) batches.push_back(loader.next());
  return batches;
}

const LoaderOptions kSmall{.tokens_per_batch = 64, .window_batches = 4, .prefetch = 3, .seed = 9};

TEST_CASE("batches are full, within the budget and made of whole documents") {
  Loader loader(share(two_sets()), kSmall);
  int64_t tokens = 0;
  for (const Batch& batch : take(loader, 100)) {
    REQUIRE(batch.tokens() <= 64);
    REQUIRE(batch.documents() >= 1);
    tokens += batch.tokens();
    for (int64_t d = 0; d < batch.documents(); ++d) {
      for (int64_t i = batch.offsets[d]; i < batch.offsets[d + 1]; ++i) {
        REQUIRE(batch.input_ids[i] == batch.input_ids[batch.offsets[d]]);
        REQUIRE(batch.positions[i] == i - batch.offsets[d]);
      }
    }
  }
  CHECK(static_cast<double>(tokens) / 6400 > 0.9);
  CHECK(loader.tokens_drawn()[0] + loader.tokens_drawn()[1] == tokens);
}

TEST_CASE("every document comes once an epoch, whatever the packing") {
  for (const Packing packing : {Packing::kBestFit, Packing::kInOrder}) {
    LoaderOptions options = kSmall;
    options.packing = packing;
    Loader loader(share(two_sets()), options);
    std::map<int64_t, int64_t> times;
    for (const Batch& batch : take(loader, 400)) {
      for (int64_t d = 0; d < batch.documents(); ++d) ++times[batch.input_ids[batch.offsets[d]]];
    }
    CHECK(times.size() == 115);
    for (const int64_t set : {0, 1}) {
      int64_t least = 1000, most = 0;
      for (const auto& [id, count] : times) {
        if (id / 1000 != set) continue;
        least = std::min(least, count);
        most = std::max(most, count);
      }
      // A window reaches over the end of an epoch, and holds a document of the next one early.
      CHECK(most - least <= 2);
      CHECK(least > 5);
    }
  }
}

TEST_CASE("a document that fits nowhere is not put back for ever") {
  Dataset set = make_set(0, 1, 3);  // 3 tokens or fewer beside documents that leave a room of 1
  for (int64_t i = 1; i < 20; ++i) {
    Example example = set.examples[0];
    example.ids.assign(63, i);
    example.targets.assign(63, 1);
    example.weights.assign(63, 1);
    set.examples.push_back(example);
  }
  Loader loader(share({set}), kSmall);
  int times = 0;
  for (const Batch& batch : take(loader, 200)) times += batch.input_ids[0] == 0;
  CHECK(times >= 9);
}

TEST_CASE("without shuffling and in order, documents come as they lie") {
  LoaderOptions options = kSmall;
  options.packing = Packing::kInOrder;
  options.shuffle = false;
  Loader loader(share({make_set(0, 50, 40)}), options);
  int64_t expected = 0;
  for (const Batch& batch : take(loader, 100)) {
    for (int64_t d = 0; d < batch.documents(); ++d) {
      REQUIRE(batch.input_ids[batch.offsets[d]] == expected++ % 50);
    }
  }
}

TEST_CASE("the sequence depends on data, options and seed alone") {
  LoaderOptions other = kSmall;
  other.prefetch = 1;
  Loader a(share(two_sets()), kSmall), b(share(two_sets()), other);
  for (int i = 0; i < 60; ++i) {
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    REQUIRE(a.next() == b.next());
    REQUIRE(a.state() == b.state());
  }
  other.seed = 10;
  Loader c(share(two_sets()), other), d(share(two_sets()), kSmall);
  CHECK(take(c, 10) != take(d, 10));
}

TEST_CASE("a restored loader goes on bit for bit from every position") {
  Loader reference(share(two_sets()), kSmall);
  std::vector<Json> states{reference.state()};
  std::vector<Batch> batches;
  for (int i = 0; i < 60; ++i) {
    batches.push_back(reference.next());
    states.push_back(Json::parse(reference.state().dump()));
  }
  Loader fresh(share(two_sets()), kSmall), used(share(two_sets()), kSmall);
  for (int from = 0; from <= 50; ++from) {
    Loader other(share(two_sets()), kSmall);
    Loader& loader = from % 2 ? used : other;
    loader.restore(states[from]);
    CHECK(loader.state() == states[from]);
    for (int i = from; i < from + 10; ++i) REQUIRE(loader.next() == batches[i]);
    CHECK(loader.state() == states[from + 10]);
    CHECK(loader.tokens_drawn() == states[from + 10]["tokens"].get<std::vector<int64_t>>());
  }
}

TEST_CASE("the state is small and does not grow") {
  Loader loader(share({make_set(0, 999, 30)}), kSmall);
  size_t largest = 0;
  for (int i = 0; i < 500; ++i) {
    loader.next();
    largest = std::max(largest, loader.state().dump().size());
  }
  CHECK(largest < 1000);
}

TEST_CASE("new weights hold from the next batch, nothing is lost, and the state knows") {
  Loader loader(share(two_sets()), kSmall);
  std::map<int64_t, int64_t> times;
  const auto count = [&](const std::vector<Batch>& batches) {
    for (const Batch& batch : batches) {
      for (int64_t d = 0; d < batch.documents(); ++d) ++times[batch.input_ids[batch.offsets[d]]];
    }
  };
  count(take(loader, 6));
  loader.set_weights({1, 0});
  CHECK(loader.weights() == std::vector<double>{1, 0});
  CHECK(loader.shares() == std::vector<double>{1, 0});
  const auto batches = take(loader, 15);
  count(batches);
  for (const Batch& batch : batches) {
    for (const int64_t domain : batch.domains) REQUIRE(domain == 0);
  }
  loader.set_weights({0, 1});
  count(take(loader, 6));
  for (const auto& [id, count] : times) CHECK(count <= 1);  // less than an epoch of either set

  const Json state = loader.state();
  Loader other(share(two_sets()), kSmall);
  other.restore(state);
  CHECK(other.weights() == std::vector<double>{0, 1});
  CHECK(take(other, 20) == take(loader, 20));
}

TEST_CASE("set_weights does not depend on what was prepared ahead") {
  LoaderOptions far = kSmall;
  far.prefetch = 30;
  Loader a(share(two_sets()), kSmall), b(share(two_sets()), far);
  for (int i = 0; i < 10; ++i) {
    REQUIRE(a.next() == b.next());
    if (i % 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    a.set_weights({1.0 + i, 2});
    b.set_weights({1.0 + i, 2});
    REQUIRE(a.state() == b.state());
  }
  CHECK(take(a, 20) == take(b, 20));
}

TEST_CASE("bad weights are refused and change nothing") {
  Loader loader(share(two_sets()), kSmall), other(share(two_sets()), kSmall);
  take(loader, 3);
  take(other, 3);
  CHECK_THROWS_WITH(loader.set_weights({1}), Contains("each of 2 data sets"));
  CHECK_THROWS_AS(loader.set_weights({0, 0}), Error);
  CHECK(loader.weights() == other.weights());
  CHECK(take(loader, 20) == take(other, 20));
}

TEST_CASE("a position is refused by a loader that is not the same") {
  Loader loader(share(two_sets()), kSmall);
  take(loader, 3);
  const Json state = loader.state();
  const auto refusal = [&](std::vector<Dataset> sets, LoaderOptions options) -> std::string {
    Loader other(share(std::move(sets)), options);
    try {
      other.restore(state);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto with = [&](auto change) {
    LoaderOptions options = kSmall;
    change(options);
    return refusal(two_sets(), options);
  };
  CHECK(with([](auto& o) { o.prefetch = 7; }).empty());
  CHECK_THAT(with([](auto& o) { o.seed = 8; }), Contains("another seed: 9, here 8"));
  CHECK_THAT(with([](auto& o) { o.tokens_per_batch = 65; }), Contains("tokens_per_batch"));
  CHECK_THAT(with([](auto& o) { o.temperature = 2; }), Contains("temperature"));
  CHECK_THAT(with([](auto& o) { o.packing = Packing::kInOrder; }), Contains("packing"));
  CHECK_THAT(with([](auto& o) { o.window_batches = 5; }), Contains("window_batches"));
  CHECK_THAT(with([](auto& o) { o.shuffle = false; }), Contains("shuffle"));
  auto sets = two_sets();
  sets[1].hash = "other";
  CHECK_THAT(refusal(sets, kSmall), Contains("another data"));
  sets = two_sets();
  sets[0].examples[3].domain = 1;
  CHECK_THAT(refusal(sets, kSmall), Contains("another data"));
  sets = two_sets();
  sets[1].weight = 2;
  CHECK_THAT(refusal(sets, kSmall), Contains("another weights"));

  Json broken = state;
  broken.erase("batch");
  CHECK_THROWS_WITH(loader.restore(broken), Contains("saved position is broken"));
  CHECK_THROWS_AS(loader.restore(Json::array()), Error);
  CHECK(loader.state() == state);
}

TEST_CASE("data that cannot be trained on is refused") {
  const auto refusal = [](std::vector<Dataset> sets, const LoaderOptions& options = kSmall) {
    try {
      Loader loader(share(std::move(sets)), options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal({}), Contains("there is no data set"));
  CHECK_THAT(refusal({Dataset{.name = "x"}}), Contains("\"x\" is empty"));
  Dataset masked = make_set(0, 3, 5);
  for (Example& example : masked.examples) example.targets.assign(example.ids.size(), -100);
  CHECK_THAT(refusal({masked}), Contains("no trained target"));
  LoaderOptions narrow = kSmall;
  narrow.tokens_per_batch = 20;
  CHECK_THAT(refusal(two_sets(), narrow), Contains("a batch only 20"));
  LoaderOptions window = kSmall;
  window.window_batches = 1;
  CHECK_THAT(refusal(two_sets(), window), Contains("window_batches must be at least 2, got 1"));
  LoaderOptions prefetch = kSmall;
  prefetch.prefetch = 0;
  CHECK_THAT(refusal(two_sets(), prefetch), Contains("prefetch must be at least 1"));
  LoaderOptions cold = kSmall;
  cold.temperature = 0;
  CHECK_THAT(refusal(two_sets(), cold), Contains("temperature"));
}

TEST_CASE("an error on the loader's thread is thrown by next, each time") {
  Dataset broken = make_set(0, 10, 20);
  broken.examples[4].weights.pop_back();
  LoaderOptions options = kSmall;
  options.shuffle = false;
  Loader loader(share({broken}), options);
  const auto until_error = [&] {
    for (int i = 0; i < 50; ++i) loader.next();
  };
  CHECK_THROWS_WITH(until_error(), Contains("as many targets and weights as ids"));
  CHECK_THROWS_AS(loader.next(), Error);
}

TEST_CASE("a loader can end at any moment") {
  for (int count = 0; count < 20; ++count) {
    Loader loader(share(two_sets()), kSmall);
    take(loader, count);
  }
}

}  // namespace
}  // namespace hone::data
