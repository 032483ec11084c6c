#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "data/augmentation_fixture.h"
#include "hone/core/random.h"
#include "hone/data/loader.h"

namespace hone::data {
namespace {

using Catch::Contains;
using testing::load_text;
using testing::make_folder;

const LoaderOptions kSmall{.tokens_per_batch = 96, .window_batches = 4, .prefetch = 3, .seed = 9};

/// Two sets of random short texts, and augmenters of them.
struct Setup {
  text::TokenizerFolder folder = make_folder({{"h", "a"}, {"\u0120", "r"}}, true);
  testing::WordNetFolder wordnet{testing::kSynonyms};
  std::vector<DatasetPtr> sets;

  Setup() {
    Random random(4);
    const std::vector<std::string> words = {"happy", "big", "road", "dog", "quickly", "7"};
    for (const int documents : {40, 15}) {
      std::string rows;
      for (int i = 0; i < documents; ++i) {
        std::string text = "a";
        for (uint64_t left = 1 + random.below(9); left > 0; --left) {
          text += " " + words[random.below(words.size())];
        }
        rows += testing::text_row(text);
      }
      sets.push_back(load_text(rows, folder));
    }
  }
  std::shared_ptr<const Augmenter> augmenter(double rate, uint64_t seed = 1) const {
    AugmentationOptions options;
    options.rate = rate;
    options.synonyms = {.rate = 0.4, .wordnet = wordnet.path()};
    options.word_dropout.rate = 0.1;
    options.span_masking.rate = 0.1;
    return std::make_shared<const Augmenter>(options, folder, sets, seed);
  }
};

TEST_CASE("augmented batches hold the budget, differ by epoch and hang on no timing") {
  const Setup setup;
  LoaderOptions other = kSmall;
  other.prefetch = 1;
  Loader a(setup.sets, kSmall, setup.augmenter(1)), b(setup.sets, other, setup.augmenter(1)),
      plain(setup.sets, kSmall), reseeded(setup.sets, kSmall, setup.augmenter(1, 2));
  int64_t tokens = 0;
  int differ = 0, seeds_differ = 0;
  for (int i = 0; i < 120; ++i) {
    const Batch batch = a.next();
    REQUIRE(batch.tokens() <= 96);
    REQUIRE(batch == b.next());
    tokens += batch.tokens();
    differ += !(batch == plain.next());
    seeds_differ += !(batch == reseeded.next());
  }
  CHECK(a.tokens_drawn()[0] + a.tokens_drawn()[1] == tokens);
  CHECK(static_cast<double>(tokens) / (120 * 96) > 0.85);
  CHECK(differ > 110);
  CHECK(seeds_differ > 110);
}

TEST_CASE("rate 0 gives the batches of a loader without augmentation, bit for bit") {
  const Setup setup;
  Loader off(setup.sets, kSmall, setup.augmenter(0)), plain(setup.sets, kSmall);
  off.set_augmentation_rate(0);
  plain.set_augmentation_rate(0);
  for (int i = 0; i < 150; ++i) REQUIRE(off.next() == plain.next());
  CHECK(off.tokens_drawn() == plain.tokens_drawn());
}

TEST_CASE("resumed at any batch the rest is the same, with the rate changed in mid-run") {
  const Setup setup;
  constexpr int kBatches = 36;
  const std::map<int, double> changes = {{5, 0.5}, {6, 0.0}, {13, 1.0}, {22, 0.3}};
  const auto change_at = [&](Loader& loader, int batch) {
    if (changes.contains(batch)) loader.set_augmentation_rate(changes.at(batch));
  };
  Loader loader(setup.sets, kSmall, setup.augmenter(0.8));
  std::vector<Json> states;
  std::vector<Batch> batches;
  for (int i = 0; i < kBatches; ++i) {
    change_at(loader, i);
    states.push_back(loader.state());
    batches.push_back(loader.next());
  }
  CHECK(loader.augmentation_rate() == 0.3);
  Loader resumed(setup.sets, kSmall, setup.augmenter(0.8));
  for (int from = 0; from < kBatches; ++from) {
    resumed.restore(parse_json(states[from].dump(), "state"));
    REQUIRE(resumed.state() == states[from]);
    for (int i = from; i < kBatches; ++i) {
      if (i > from) change_at(resumed, i);
      INFO("from " << from << ", batch " << i);
      REQUIRE(resumed.next() == batches[i]);
    }
  }
}

TEST_CASE("a new rate holds from the next batch on, and every document still comes") {
  const Setup setup;
  Loader loader(setup.sets, kSmall, setup.augmenter(1));
  std::set<std::vector<int64_t>> originals;
  for (const auto& set : setup.sets) {
    for (const Example& example : set->examples) originals.insert(example.ids);
  }
  const auto originals_in = [&](const Batch& batch) {
    int count = 0;
    for (int64_t d = 0; d < batch.documents(); ++d) {
      count += originals.contains({batch.input_ids.begin() + batch.offsets[d],
                                   batch.input_ids.begin() + batch.offsets[d + 1]});
    }
    return count;
  };
  for (int i = 0; i < 7; ++i) loader.next();
  loader.set_augmentation_rate(0);
  std::set<std::vector<int64_t>> seen;
  for (int i = 0; i < 60; ++i) {
    const Batch batch = loader.next();
    REQUIRE(originals_in(batch) == batch.documents());
    for (int64_t d = 0; d < batch.documents(); ++d) {
      seen.insert({batch.input_ids.begin() + batch.offsets[d],
                   batch.input_ids.begin() + batch.offsets[d + 1]});
    }
  }
  CHECK(seen == originals);
  loader.set_augmentation_rate(1);
  int unchanged = 0;
  int64_t documents = 0;
  for (int i = 0; i < 60; ++i) {
    const Batch batch = loader.next();
    unchanged += originals_in(batch);
    documents += batch.documents();
  }
  CHECK(unchanged < documents / 2);
}

TEST_CASE("a position of another augmentation is refused, and so is a bad rate") {
  const Setup setup;
  Loader loader(setup.sets, kSmall, setup.augmenter(1)), plain(setup.sets, kSmall),
      other(setup.sets, kSmall, setup.augmenter(1, 2)),
      half(setup.sets, kSmall, setup.augmenter(0.5));
  loader.next();
  const Json state = loader.state();
  CHECK_THROWS_WITH(plain.restore(state), Contains("another augmentation"));
  CHECK_THROWS_WITH(other.restore(state), Contains("another augmentation"));
  CHECK_THROWS_WITH(loader.restore(plain.state()), Contains("another augmentation"));
  half.restore(state);  // the rate is part of the position
  CHECK(half.augmentation_rate() == 1);
  Json broken = state;
  broken["augmentation_rate"] = 2;
  CHECK_THROWS_WITH(loader.restore(broken), Contains("broken"));
  CHECK_THROWS_WITH(loader.set_augmentation_rate(1.5), Contains("must lie in [0, 1], got 1.5"));
  CHECK_THROWS_AS(loader.set_augmentation_rate(std::nan("")), Error);
  CHECK_THROWS_WITH(plain.set_augmentation_rate(0.1), Contains("needs an Augmenter"));
}

}  // namespace
}  // namespace hone::data
