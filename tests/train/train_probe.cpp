// Computes what tests/parity/schedules.py and plateau.py compare: a line of JSON in, a line of JSON
// out. Doubles are printed with all their bits.
#include <cmath>
#include <iostream>
#include <string>

#include "controller_desk.h"
#include "hone/config/reader.h"
#include "hone/core/json.h"
#include "hone/train/controllers/plateau.h"
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

/// lr_scale after each of the losses, null being none.
Json scales(const Json& ask) {
  Plateau plateau(config::read_config<PlateauOptions>(ask.at("options")));
  Desk desk;
  Json list = Json::array();
  for (const Json& loss : ask.at("losses")) {
    Signals signals;
    signals.set("validation_loss", loss.is_null() ? std::nan("") : loss.get<double>());
    plateau.after_evaluation(0, signals, desk);
    list.push_back(desk.get("lr_scale"));
  }
  return list;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const Json ask = parse_json(line, "standard input");
    std::cout << (ask.contains("losses") ? scales(ask) : rates(ask)).dump() << "\n";
  }
}
