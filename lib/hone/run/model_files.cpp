#include "hone/run/model_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "hone/core/log.h"
#include "hone/core/names.h"
#include "hone/io/adapter.h"
#include "hone/io/atomic.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/pruned/export.h"
#include "hone/run/decoder_step.h"
#include "hone/run/quantisation.h"
#include "hone/run/saving.h"

namespace hone::run {

bool ModelFiles::pruned() const { return !base_.decoder->config().pruned.empty(); }

std::string ModelFiles::adapter_base() const {
  return own_base() ? std::filesystem::weakly_canonical(folder_.file("base")).string() : base_.name;
}

void ModelFiles::write(const std::string& folder) const {
  write_decoder(folder, base_.decoder, base_.config, tokenizer_folder(), adapter_base());
}

void ModelFiles::read(const std::string& folder) const {
  read_decoder(folder, base_.decoder, adapter_base());
}

std::string ModelFiles::save() const {
  model::Decoder& decoder = base_.decoder;
  if (config_.tuning == Tuning::kLora) {
    io::AtomicFolder adapter(folder_.file("adapter"), io::AtomicFolder::Existing::kReplace);
    io::AdapterFiles files = pruned() ? model::exported_adapter(decoder, adapter_base())
                                      : model::adapter_files(decoder, adapter_base());
    files = in_save_types(std::move(files), base_, config_.save.dtype);
    io::write_adapter(adapter.path(), files);
    adapter.commit();
    if (own_base()) save_weights("base");
    if (decoder->config().quantised) {
      log_info(
          "the base holds integers, so that the adapter is saved alone; hone-merge --dtype "
          "bfloat16 makes one model of numbers of both");
      return types_text({files.tensors.begin(), files.tensors.end()}, {});
    }
    model::merge_lora(decoder);
    base_.shared = false;
  }
  if (config_.quantisation && config_.quantisation->save == SavedForm::kIntegers) {
    model::quantise_decoder(*decoder, quantised_layers(*config_.quantisation, *decoder,
                                                       saved_type(base_, config_.save.dtype)));
    base_.shared = false;
  }
  return save_weights("model");
}

std::string ModelFiles::save_weights(const std::string& name) const {
  const std::string folder = folder_.file(name);
  io::CheckpointOptions options = save_options(base_, config_.save.dtype);
  options.source_folder = tokenizer_folder();
  const std::string text = types_text(base_.decoder->hf_tensors(), options);
  log_info(fmt::format("the {} is saved as {}", name, text));
  if (!pruned()) {
    model::save_decoder(folder, base_.decoder, base_.config, options, model::Adapter::kLeftOut);
    return text;
  }
  const model::ExportForm form =
      model::export_pruned(folder, folder + "-compact", base_.decoder, base_.config, options);
  log_info(fmt::format("the pruned {} is in {} ({} form{})", name, folder, enum_name(form),
                       form == model::ExportForm::kDirect
                           ? ""
                           : "; " + folder + "-compact is smaller and faster, for hone"));
  return text;
}

}  // namespace hone::run
