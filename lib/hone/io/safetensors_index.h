/// model.safetensors.index.json: which shard holds which tensor. Needs no LibTorch.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace hone::io {

/// Tensor name -> file name of its shard. File names hold no separator and end in .safetensors, so
/// that an index cannot lead out of its folder. "metadata" is not read (its total_size varies in
/// meaning between writers).
/// Throws: IoError naming the tensor.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source);

/// Whether `name` is a file's plain name: not empty, no '/', no NUL, not "." or "..".
bool is_plain_file_name(std::string_view name);

}  // namespace hone::io
