/// A smaller model cut out of a run's base before it trains.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/core/json.h"
#include "hone/model/decoder.h"
#include "hone/model/pruned/narrow.h"
#include "hone/run/student_options.h"

namespace hone::run {

/// Where a run keeps what it cut: {"config", "report"}, for when it goes on.
constexpr const char* kStudentFile = "student.json";

/// The config.json of the student of such a base. Throws: ConfigError listing the sizes that the
/// base has not; hone::Error for other families than llama, qwen2 and qwen3.
Json student_config(const StudentOptions& options, const Json& base_config);

/// The student, of student_config's sizes: blocks by block_importances, heads and channels by the
/// norm of their outputs, the residual stream by what its norms see on `text`
/// (model/pruned/selection.h, narrow.h). `base` is cut up for it.
model::PlainModel cut_student(model::PlainModel base, const StudentOptions& options,
                              const std::vector<model::DecoderInput>& text);

/// For reports: parameters of both, all and without embedding and head.
Json student_report(const model::Decoder& student, int64_t base_parameters, int64_t base_in_blocks);
/// Numbers of a decoder without those of embedding and head.
int64_t parameters_in_blocks(const model::Decoder& decoder);

}  // namespace hone::run
