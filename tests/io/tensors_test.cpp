#include "hone/io/tensors.h"

#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support.h"
#include "support/catch.h"

namespace hone::io {
namespace {

using test::safetensors_bytes;
using test::TemporaryFolder;

TEST_CASE("every dtype is written and read back, bytes and shape") {
  const TemporaryFolder folder;
  const std::string path = folder.file("all.safetensors");
  NamedTensors tensors;
  std::set<std::string> dtypes;
  for (int i = 0; i <= static_cast<int>(Dtype::U64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    dtypes.insert(dtype_name(dtype));
    const auto size = static_cast<int64_t>(dtype_size(dtype));
    at::Tensor bytes = torch::arange(6 * size, torch::kByte);
    if (dtype == Dtype::BOOL) bytes = bytes.remainder(2);
    tensors.emplace_back(dtype_name(dtype), bytes.view(to_scalar_type(dtype)).view({2, 3}));
  }
  CHECK(dtypes.size() == 16);
  tensors.emplace_back("scalar", torch::tensor(2.5));
  tensors.emplace_back("empty", torch::empty({0, 7}));
  write_safetensors(path, tensors);

  const Safetensors file(path);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file.tensors().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const at::Tensor read = read_tensor(file, name);
    CHECK(read.scalar_type() == tensor.scalar_type());
    CHECK(read.sizes() == tensor.sizes());
    const auto raw = [](const at::Tensor& t) {
      return std::string(static_cast<const char*>(t.const_data_ptr()), t.nbytes());
    };
    CHECK(raw(read) == raw(tensor));
  }
  CHECK_THROWS_WITH(read_tensor(file, "none"), path + ": holds no tensor \"none\"");
}

TEST_CASE("the file is laid out as the reference implementation does") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  write_safetensors(path, {{"b", torch::ones({1})},
                           {"z", torch::ones({1}, torch::kLong)},
                           {"a", torch::ones({2})},
                           {"h", torch::ones({3}, torch::kHalf)}});
  const Safetensors file(path);
  std::vector<std::string> order;
  for (const TensorInfo& info : file.tensors()) order.push_back(info.name);
  CHECK(order == std::vector<std::string>{"z", "a", "b", "h"});
  const std::string bytes = read_file(path);
  CHECK((bytes.size() - 8 - 4 * 3 - 6) % 8 == 0);
  CHECK(bytes.substr(8, 34) == R"({"__metadata__":{"format":"pt"},"z)");
}

TEST_CASE("views are written whole, each by itself") {
  const TemporaryFolder folder;
  const at::Tensor base = torch::arange(12, torch::kFloat).view({3, 4});
  write_safetensors(folder.file("f"), {{"t", base.t()},
                                       {"row", base[1]},
                                       {"same", base},
                                       {"grad", torch::ones({2}).requires_grad_()}});
  const Safetensors file(folder.file("f"));
  CHECK(read_tensor(file, "t").equal(base.t()));
  CHECK(read_tensor(file, "row").equal(base[1]));
  CHECK(read_tensor(file, "same").equal(base));
  CHECK_FALSE(read_tensor(file, "grad").requires_grad());
}

TEST_CASE("what cannot be written is refused before the file is touched") {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "old");
  const at::Tensor one = torch::ones({1});
  CHECK_THROWS_WITH(write_safetensors(path, {{"a", one}, {"a", one}}),
                    Catch::Contains("two tensors named a"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"__metadata__", one}}),
                    Catch::Contains("cannot name a tensor"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"c", torch::ones({1}, torch::kComplexFloat)}}),
                    Catch::Contains("safetensors has no name for the type ComplexFloat"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"s", one.to_sparse()}}),
                    Catch::Contains("must be a dense tensor"));
  CHECK(read_file(path) == "old");
}

TEST_CASE("a read file owes nothing to the file on disk") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f");
  write_safetensors(path, {{"a", torch::ones({4})}, {"b", torch::ones({4})}});
  const Safetensors file(path);
  const at::Tensor a = read_tensor(file, "a");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  CHECK_THROWS_WITH(read_tensor(file, "b"), path + ": became shorter while it was read");
  CHECK(a.equal(torch::ones({4})));
}

TEST_CASE("write_safetensors: tensors are rounded to the types asked for, others stay") {
  const TemporaryFolder folder;
  const at::Tensor large = torch::randn({3, 700'001});  // several parts
  const NamedTensors tensors = {{"a", large}, {"b", large.t()}, {"c", torch::ones({2})}};
  const std::string path = folder.path + "/f.safetensors";
  write_safetensors(path, tensors, {{"format", "pt"}}, {{"a", at::kBFloat16}, {"b", at::kHalf}});
  const Safetensors file(path);
  CHECK(at::equal(read_tensor(file, "a"), large.to(at::kBFloat16)));
  CHECK(at::equal(read_tensor(file, "b"), large.t().to(at::kHalf)));
  CHECK(read_tensor(file, "c").scalar_type() == at::kFloat);
}

}  // namespace
}  // namespace hone::io
