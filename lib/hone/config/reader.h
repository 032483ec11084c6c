/// Strict reading of a JSON document into a struct with visit().
///
///   struct TrainOptions {
///     double lr = 1e-4;
///     template <class Self, class Visitor> static void visit(Self& self, Visitor& v) {
///       v("lr", self.lr, "Peak learning rate.", Range{0, 10});
///     }
///   };
///   auto options = config::read_config<TrainOptions>(read_json_file("recipe.json"));
///
/// Fields may be bool, int64_t, double, std::string, Json, an enum with EnumNames, structs with
/// visit(), and std::optional, std::vector and std::map<std::string, T> of these.
#pragma once
#include <utility>

#include "hone/config/detail/reading.h"
#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone::config {

/// The struct that `json` describes; absent keys keep the value that `defaults` holds. Lists and
/// maps replace the default whole, structs key by key; null unsets an optional field.
/// Every nested struct's validate(Validation&) runs after its fields are read, inner ones first,
/// also where the document leaves the struct out.
/// A string "$schema" at the top is ignored, so that editors find the schema.
/// Throws: ConfigError with everything that is wrong: unknown keys (with the one that was meant),
///   wrong types, numbers out of Range, unknown enum names, missing Required keys, and what
///   validate() reported.
template <detail::Visited T>
T read_config(const Json& json, T defaults = {}) {
  detail::Reading reading(detail::key_names<T>);
  if (reading.expect_object(json, "")) detail::read_struct(reading, json, "", defaults);
  reading.finish();
  return defaults;
}

}  // namespace hone::config
