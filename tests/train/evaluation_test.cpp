#include "hone/train/evaluation.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "hone/core/json.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::train;

namespace {

/// A batch of three positions, of which the last is no target.
data::Batch batch_of(int64_t id) {
  data::Batch batch;
  batch.append({{id, id, id}, {id, id, data::kIgnoreIndex}, {1, 7, 1}});
  return batch;
}

}  // namespace

TEST_CASE("Sets are scored in order; each target counts one, whatever it weighs in training") {
  int64_t asked = 0;
  const auto scores = evaluate(
      {{"a", "law", {batch_of(1), batch_of(2)}, 9}, {"b", "general", {batch_of(3)}}, {"c", "law"}},
      [&](const data::Batch& batch) {
        ++asked;
        CHECK_FALSE(torch::GradMode::is_enabled());
        const auto id = static_cast<double>(batch.input_ids[0]);
        return torch::tensor({id, id / 2, 0.0});
      });
  CHECK(asked == 3);
  REQUIRE(scores.size() == 3);
  CHECK(scores[0].name == "a");
  CHECK(scores[0].domain == "law");
  CHECK(scores[0].tokens == 4);
  CHECK(scores[0].nll == 4.5);
  CHECK(scores[0].base_tokens == 9);
  CHECK(scores[0].perplexity() == std::exp(0.5));
  CHECK(scores[1].nll == 4.5);
  CHECK(scores[1].base_tokens == 2);  // its own targets
  CHECK(scores[1].perplexity() == std::exp(2.25));
  CHECK(scores[2].tokens == 0);
  CHECK(std::isnan(scores[2].perplexity()));
  CHECK(torch::GradMode::is_enabled());
}

TEST_CASE("Sums over many targets are kept in double precision") {
  data::Batch batch;
  batch.append({{0, 0}, {1, 1}, {1, 1}});
  const auto scores = evaluate({{"a", "law", std::vector<data::Batch>(1000, batch)}},
                               [](const data::Batch&) { return torch::tensor({16777216.F, 1.F}); });
  CHECK(scores[0].nll == 16777217000.0);  // in float the ones were lost
}

TEST_CASE("Domains join their sets, in the order of their first") {
  const auto domains =
      by_domain({{"a", "law", 1, 2, 4}, {"b", "general", 8, 16, 32}, {"c", "law", 64, 128, 256}});
  REQUIRE(domains.size() == 2);
  CHECK(domains[0].name == "law");
  CHECK(domains[0].domain == "law");
  CHECK(domains[0].tokens == 65);
  CHECK(domains[0].base_tokens == 130);
  CHECK(domains[0].nll == 260);
  CHECK(domains[1].domain == "general");
  CHECK(domains[1].tokens == 8);
  CHECK(by_domain({}).empty());
}

TEST_CASE("Scores survive JSON, numbers that are not finite as null") {
  const std::vector<Score> scores = {{"a", "law", 3, 4, 0.1},
                                     {"b", "law", 3, 4, std::nan("")},
                                     {"c", "law", 3, 1, 1000},
                                     {"d", "law", 0, 0, 0}};
  const Json json = parse_json(scores_json(scores).dump(), "scores");
  CHECK(json[0].at("perplexity") == std::exp(0.025));
  CHECK(json[1].at("nll").is_null());
  CHECK(json[1].at("perplexity").is_null());
  CHECK(json[2].at("perplexity").is_null());  // exp(1000) is infinite
  CHECK(json[3].at("perplexity").is_null());
  const auto back = scores_from_json(json);
  REQUIRE(back.size() == 4);
  CHECK(back[0].name == "a");
  CHECK(back[0].domain == "law");
  CHECK(back[0].tokens == 3);
  CHECK(back[0].base_tokens == 4);
  CHECK(back[0].nll == 0.1);
  CHECK(std::isnan(back[1].nll));
  CHECK(back[2].nll == 1000);
  CHECK_THROWS_AS(scores_from_json({{{"name", "a"}}}), Json::exception);
}
