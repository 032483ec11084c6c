#include "hone/data/detail/encoder.h"

namespace hone::data::detail {

// Until the text room renders chat templates.
std::vector<Encoder::Document> Encoder::chat_documents(const ChatSample&) const {
  throw SetupError("holds conversations, which this build cannot render");
}

}  // namespace hone::data::detail
