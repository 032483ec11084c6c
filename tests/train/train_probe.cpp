// Computes what tests/parity/schedules.py compares: a line of JSON in, a line of JSON out. Doubles
// are printed with all their bits.
#include <iostream>
#include <string>

#include "hone/config/reader.h"
#include "hone/core/json.h"
#include "hone/train/options.h"

using namespace hone;
using namespace hone::train;

namespace {

/// The learning rate of each step of TrainOptions.
Json rates(const Json& ask) {
  const auto options = config::read_config<TrainOptions>(ask);
  Json list = Json::array();
  for (int64_t step = 0; step < options.steps; ++step) list.push_back(learning_rate(options, step));
  return list;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << rates(parse_json(line, "standard input")).dump() << "\n";
  }
}
