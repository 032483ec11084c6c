#include "hone/run/model_folder.h"

#include <filesystem>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/files.h"
#include "hone/io/quantisation.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

namespace fs = std::filesystem;

bool is_adapter(const std::string& folder) {
  return io::path_exists(folder + "/" + io::kAdapterConfig);
}

/// The base that an adapter names.
std::string named_base(const std::string& adapter) {
  const std::string path = adapter + "/" + io::kAdapterConfig;
  const Json config = read_json_file(path, {.max_bytes = size_t{16} << 20});
  const Json name = config.is_object() ? config.value("base_model_name_or_path", Json()) : Json();
  if (!name.is_string() || name.get_ref<const std::string&>().empty()) {
    throw IoError(path, "names no base_model_name_or_path; give the base by --base");
  }
  const fs::path base = name.get<std::string>();
  for (const fs::path& candidate : {fs::path(adapter) / base, base}) {
    if (fs::exists(candidate)) return model_folder(candidate.string());
  }
  try {
    if (const std::string found = model_folder(base.string()); fs::exists(found)) return found;
  } catch (const IoError& error) {
    throw IoError(path, std::string("names a base that is not here (") + error.what() +
                            "); give it by --base");
  }
  throw IoError(path, "names the base " + base.string() + ", which is not here; give it by --base");
}

}  // namespace

ModelFolders ModelFolders::find(const std::string& name, const std::optional<std::string>& base) {
  std::string folder = model_folder(name);
  if (!fs::exists(folder)) throw IoError(folder, "there is no such folder");
  if (!io::has_weights(folder) && is_adapter(folder + "/adapter")) folder += "/adapter";
  if (!is_adapter(folder)) {
    if (base) throw IoError(name, "is no adapter: --base has no effect; remove it");
    return {folder, std::nullopt};
  }
  return {base ? model_folder(*base) : named_base(folder), folder};
}

OpenModel open_model(const ModelFolders& folders, at::Device device, at::ScalarType weights,
                     const model::LoadOptions& options) {
  const auto checkpoint =
      std::make_shared<const io::Checkpoint>(io::Checkpoint::open(folders.model));
  OpenModel open{model::load_decoder(*checkpoint, device, weights, options), checkpoint->config(),
                 model::tensor_types(*checkpoint)};
  if (io::is_quantised(open.config)) open.quantised = checkpoint;
  if (!folders.adapter) return open;
  try {
    model::load_adapter(open.decoder, io::read_adapter(*folders.adapter));
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    throw Error(*folders.adapter + ": does not fit the base " + folders.model + ": " +
                error.what());
  }
  return open;
}

text::TokenizerFolder open_tokenizer(const ModelFolders& folders) {
  const bool own = folders.adapter && io::path_exists(*folders.adapter + "/tokenizer.json");
  return text::TokenizerFolder::load(own ? *folders.adapter : folders.model);
}

}  // namespace hone::run
