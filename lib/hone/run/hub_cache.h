/// Where the model that a recipe names lies.
#pragma once
#include <string>

namespace hone::run {

/// Of a run of hone its model; `model` itself, if it is another folder or written like a path;
/// else, where it is written like a name on the Hugging Face hub ("org/name"), the snapshot of it
/// that the local cache holds, as huggingface_hub keeps it: in HF_HUB_CACHE, else HF_HOME/hub, else
/// ~/.cache/huggingface/hub, under models--org--name/. Nothing is downloaded.
/// Throws: IoError if such a name is not in the cache; it says where it looked and how to get it.
std::string model_folder(const std::string& model);

}  // namespace hone::run
