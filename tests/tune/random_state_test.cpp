#include "hone/tune/samplers/detail/random_state.h"

#include <numeric>

#include "support/catch.h"

using hone::tune::detail::RandomState;

namespace {

/// Printed by NumPy 2.4.6, in this order of calls on RandomState(seed): random_sample(2),
/// standard_normal(3), randint(0, 1000, 4), uniform(-3, 5), shuffle(range(8)),
/// choice(3, p=[.2, .3, .5], size=8), choice([4, 9, 11]), random_sample().
struct Reference {
  uint64_t seed;
  std::vector<double> uniforms, normals;
  std::vector<int64_t> integers;
  double between;
  std::vector<int> shuffled;
  std::vector<size_t> choices;
  int64_t choice;
  double last;
};

const Reference kReferences[] = {
    {0,
     {0.5488135039273248, 0.7151893663724195},
     {0.9787379841057392, 2.240893199201458, 1.8675579901499675},
     {804, 599, 70, 472},
     4.709302084008234,
     {5, 7, 3, 4, 6, 0, 1, 2},
     {1, 2, 1, 2, 0, 2, 1, 2},
     9,
     0.7805291762864555},
    {1,
     {0.417022004702574, 0.7203244934421581},
     {-0.5281717522634557, -1.0729686221561705, 0.8654076293246785},
     {254, 357, 914, 468},
     -1.3643820021478605,
     {3, 6, 1, 0, 7, 5, 4, 2},
     {0, 0, 2, 2, 1, 2, 2, 2},
     4,
     0.8296033593941836},
    {12345,
     {0.9296160928171479, 0.3163755545817859},
     {-0.5194387150567381, -0.55573030434749, 1.9657805725027142},
     {118, 369, 315, 654},
     2.9912531002712948,
     {4, 5, 3, 1, 2, 0, 6, 7},
     {0, 1, 2, 2, 2, 2, 2, 2},
     4,
     0.9308156927496121},
    {4294967295,
     {0.0976320289940138, 0.9123828453026218},
     {0.6484086742306527, 0.6693235306338161, -1.0805437227474493},
     {539, 141, 438, 87},
     4.876444448286359,
     {3, 2, 0, 4, 7, 1, 5, 6},
     {1, 1, 2, 1, 2, 2, 2, 1},
     9,
     0.5805200934294245},
    // RandomState([5, 7])
    {5 + (uint64_t{7} << 32),
     {0.33181616794025415, 0.37590596856960556},
     {-1.0137488798770364, -0.757676471580814, 0.45123420702324313},
     {487, 530, 195, 111},
     -2.507267903413128,
     {7, 3, 4, 0, 2, 6, 1, 5},
     {1, 1, 1, 0, 0, 2, 2, 1},
     4,
     0.33690392575630834},
};

}  // namespace

TEST_CASE("Random numbers are NumPy's") {
  for (const Reference& expected : kReferences) {
    INFO("seed " << expected.seed);
    RandomState random(expected.seed);
    CHECK(random.uniforms(2) == expected.uniforms);
    for (const double normal : expected.normals) CHECK(random.normal() == normal);
    for (const int64_t integer : expected.integers) CHECK(random.integer(0, 1000) == integer);
    CHECK(random.uniform(-3, 5) == expected.between);
    std::vector<int> list(8);
    std::iota(list.begin(), list.end(), 0);
    random.shuffle(list);
    CHECK(list == expected.shuffled);
    const double weights[] = {.2, .3, .5};
    CHECK(random.choices(weights, 8) == expected.choices);
    const int64_t from[] = {4, 9, 11};
    CHECK(from[random.integer(0, 3)] == expected.choice);
    CHECK(random.uniform() == expected.last);
  }
}

TEST_CASE("The stream goes on past one state and starts again after reseed") {
  RandomState random(0);
  random.uniforms(1000);
  CHECK(random.uniform() == 0.5928802707811576);  // NumPy 2.4.6
  random.normal();
  random.reseed(1);
  CHECK(random.uniform() == 0.417022004702574);
  random.reseed(0);
  random.uniforms(2);
  CHECK(random.normal() == kReferences[0].normals[0]);
}

TEST_CASE("A range of one value takes no draw") {
  RandomState random(0);
  CHECK(random.integer(7, 8) == 7);
  CHECK(random.uniform() == kReferences[0].uniforms[0]);
}
