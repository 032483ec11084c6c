/// hone-merge: works an adapter into its base.
///
///   hone-merge --adapter runs/medical/adapter --out models/medical --dtype bfloat16
#include <iostream>

#include "hone/config/flags.h"
#include "hone/paths/merge.h"

int main(int argc, char** argv) {
  return hone::config::run_flag_app<hone::paths::MergeOptions>(
      argc, argv,
      {.name = "hone-merge", .summary = "Works a PEFT adapter into its base and writes one model."},
      "", [](const hone::paths::MergeOptions& options) {
        std::cout << hone::paths::merge_adapter(options) << std::endl;
        return hone::config::kDone;
      });
}
