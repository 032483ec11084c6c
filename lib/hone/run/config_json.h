/// What reads, writes and describes a run's configuration, compiled once, in config.cpp: who does
/// either includes this and is spared seconds of compiling.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "hone/config/fields.h"
#include "hone/config/reader.h"
#include "hone/config/schema.h"
#include "hone/config/writer.h"
#include "hone/core/error.h"
#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/run/config.h"

namespace hone::config::detail {

extern template void read_struct(Reading&, const Json&, const std::string&, run::Config&);
extern template void KeyLister::inner<run::Config>(const std::string&);
extern template Json write_value(const run::Config&, const std::string&,
                                 const std::set<std::string>&);
extern template void validate_value(const run::Config&, const std::string&,
                                    const Validation::IsSet&, std::vector<Problem>&);
extern template Json value_schema(const run::Config&, const FieldAttributes&);

}  // namespace hone::config::detail
