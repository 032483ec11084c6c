#include "hone/data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/random.h"
#include "hone/data/mixture.h"

namespace hone::data {
namespace {

void check_options(const LoaderOptions& options) {
  const auto at_least = [](const char* name, int64_t value, int64_t least) {
    if (value >= least) return;
    throw Error(std::string("Loader: ") + name + " must be at least " + std::to_string(least) +
                ", got " + std::to_string(value));
  };
  at_least("tokens_per_batch", options.tokens_per_batch, 1);
  at_least("window_batches", options.window_batches, 2);
  at_least("prefetch", options.prefetch, 1);
}

void check_set(const Dataset& set, int64_t tokens_per_batch) {
  const std::string who = "Loader: data set \"" + set.name + "\"";
  if (set.examples.empty()) throw Error(who + " is empty");
  bool trained = false;
  for (const Example& example : set.examples) {
    if (example.length() > tokens_per_batch) {
      throw Error(who + " holds a document of " + std::to_string(example.length()) +
                  " tokens, a batch only " + std::to_string(tokens_per_batch) +
                  "; lower the set's max_length or raise tokens_per_batch");
    }
    trained = trained || example.trained() > 0;
  }
  if (!trained) throw Error(who + " has no trained target");
}

Mixture make_mixture(const std::vector<DatasetPtr>& sets, const LoaderOptions& options) {
  std::vector<std::vector<int64_t>> lengths;
  std::vector<double> weights;
  for (const DatasetPtr& set : sets) {
    std::vector<int64_t>& row = lengths.emplace_back();
    for (const Example& example : set->examples) row.push_back(example.length());
    weights.push_back(set->weight);
  }
  return Mixture(std::move(lengths), std::move(weights), options.temperature,
                 derive_seed(options.seed, "loader"), options.shuffle);
}

std::string hash_sets(const std::vector<DatasetPtr>& sets) {
  Json parts = Json::array();
  for (const DatasetPtr& set : sets) {
    std::string domains;
    for (const Example& example : set->examples) domains += std::to_string(example.domain) + ",";
    parts.push_back({set->name, set->hash, hash_bytes(domains)});
  }
  return hash_bytes(parts.dump());
}

/// A drawn document, with the variant that stands for it, if any.
struct Piece {
  Draw draw;
  std::shared_ptr<const Example> variant;
};

/// The documents of one batch, in the order drawn.
using Plan = std::vector<Piece>;

std::vector<Draw> draws_of(const Plan& plan) {
  std::vector<Draw> draws;
  for (const Piece& piece : plan) draws.push_back(piece.draw);
  return draws;
}

}  // namespace

/// Batches come window by window: documents are drawn, packed, and handed out bin by bin; one bin
/// that is not full goes back to the mixture. A position is therefore the mixture's state at the
/// window's beginning and the number of bins handed out since; going there draws that window again.
struct Loader::Worker {
  /// What the loader's thread needs to begin a window.
  struct Window {
    Json mixture;
    int64_t index = 0;
    double augmentation_rate = 0;
    int64_t pass_left = 0;  ///< tokens of the present pass not yet handed out, with whole_passes
  };
  struct Position {
    std::shared_ptr<const Window> window;
    int64_t batch = 0;            ///< batches of the window handed out
    std::vector<int64_t> tokens;  ///< of each set, handed out
  };
  struct Item {
    Batch batch;
    Position after;
  };

  Worker(std::vector<DatasetPtr> data, const LoaderOptions& loader_options,
         std::shared_ptr<const Augmenter> given)
      : sets(std::move(data)),
        options(loader_options),
        augmenter(std::move(given)),
        rate(augmenter ? augmenter->rate() : 0),
        mixture(check_and_mix()) {
    identity = {{"data", hash_sets(sets)},
                {"tokens_per_batch", options.tokens_per_batch},
                {"temperature", options.temperature},
                {"packing", enum_name(options.packing)},
                {"window_batches", options.window_batches},
                {"shuffle", options.shuffle},
                {"seed", options.seed},
                {"weights", mixture.weights()},
                {"augmentation", augmenter ? Json(augmenter->fingerprint()) : Json()}};
    if (options.whole_passes) identity["whole_passes"] = true;
    position = {begin_window(0, pass_tokens()), 0, std::vector<int64_t>(sets.size(), 0)};
  }
  ~Worker() { stop(); }

  Mixture check_and_mix() const {
    check_options(options);
    if (sets.empty()) throw Error("Loader: there is no data set");
    for (const DatasetPtr& set : sets) check_set(*set, options.tokens_per_batch);
    return make_mixture(sets, options);
  }

  std::shared_ptr<const Window> begin_window(int64_t index, int64_t pass_left) const {
    return std::make_shared<Window>(Window{mixture.state(), index, rate, pass_left});
  }

  /// Tokens of the sets that are drawn.
  int64_t pass_tokens() const {
    int64_t tokens = 0;
    for (size_t i = 0; i < sets.size(); ++i) {
      if (mixture.shares()[i] <= 0) continue;
      for (const Example& example : sets[i]->examples) tokens += example.length();
    }
    return tokens;
  }

  int64_t own_tokens(const Plan& plan) const {
    int64_t tokens = 0;
    for (const Piece& piece : plan) tokens += mixture.length(piece.draw);
    return tokens;
  }

  /// Window::pass_left once the first `handed` of the window's plans are handed out.
  int64_t pass_left_after(const Window& window, const std::vector<Plan>& plans,
                          int64_t handed) const {
    if (!options.whole_passes) return 0;
    int64_t left = window.pass_left;
    for (int64_t i = 0; i < handed; ++i) left -= own_tokens(plans[i]);
    for (const int64_t whole = pass_tokens(); left <= 0;) left += whole;
    return left;
  }

  /// Draws and packs the window that begins at the mixture's state: at least one batch, as it holds
  /// two or more batches' worth or ends a pass. What is not in the plans is back in the mixture.
  std::vector<Plan> draw_window(const Window& window) {
    std::vector<Piece> draws;
    std::vector<int64_t> lengths;
    const int64_t wanted = options.window_batches * options.tokens_per_batch;
    int64_t own = 0;  // tokens, of which a pass has so many
    const auto ends_pass = [&] { return options.whole_passes && own >= window.pass_left; };
    for (int64_t total = 0; total < wanted && !ends_pass(); total += lengths.back()) {
      draws.push_back(make_piece(mixture.draw(), window.augmentation_rate));
      lengths.push_back(example_of(draws.back()).length());
      own += mixture.length(draws.back().draw);
    }
    Bins bins = options.packing == Packing::kBestFit
                    ? pack_best_fit(lengths, options.tokens_per_batch)
                    : pack_in_order(lengths, options.tokens_per_batch);
    if (options.packing == Packing::kBestFit) {
      for (auto& bin : bins) std::sort(bin.begin(), bin.end());
      std::sort(bins.begin(), bins.end());
    }
    const auto plan = [&](const std::vector<size_t>& bin) {
      Plan documents;
      for (const size_t i : bin) documents.push_back(draws[i]);
      return documents;
    };
    const auto left = ends_pass() ? bins.end() : left_over(bins, draws, lengths);
    if (left != bins.end()) {
      mixture.put_back(draws_of(plan(*left)));
      bins.erase(left);
    }
    if (options.packing == Packing::kBestFit && options.shuffle) {
      Random(derive_seed(options.seed, "window/" + std::to_string(window.index))).shuffle(bins);
    }
    std::vector<Plan> plans;
    for (const auto& bin : bins) plans.push_back(plan(bin));
    return plans;
  }

  Piece make_piece(const Draw& draw, double augmentation_rate) const {
    Piece piece{draw, nullptr};
    if (!augmenter) return piece;
    const Example& example = sets[draw.set]->examples[draw.document];
    auto variant = augmenter->variant(example, draw, augmentation_rate, options.tokens_per_batch);
    if (variant) piece.variant = std::make_shared<const Example>(std::move(*variant));
    return piece;
  }
  const Example& example_of(const Piece& piece) const {
    return piece.variant ? *piece.variant : sets[piece.draw.set]->examples[piece.draw.document];
  }

  /// The bin to put back, because the next window may fill it better, or end().
  Bins::iterator left_over(Bins& bins, const std::vector<Piece>& draws,
                           const std::vector<int64_t>& lengths) const {
    if (options.packing == Packing::kInOrder) return std::prev(bins.end());
    auto least = bins.end();
    int64_t least_fill = options.tokens_per_batch;
    for (auto bin = bins.begin(); bin != bins.end(); ++bin) {
      int64_t fill = 0;
      bool again = false;
      for (const size_t i : *bin) {
        fill += lengths[i];
        again = again || draws[i].draw.again;  // never twice: a short document could wait for ever
      }
      if (!again && fill < least_fill) {
        least = bin;
        least_fill = fill;
      }
    }
    return least;
  }

  Item assemble(const Plan& plan, const Position& before) const {
    Item item{{}, before};
    ++item.after.batch;
    for (const Piece& piece : plan) {
      const Example& example = example_of(piece);
      item.batch.append(example);
      item.after.tokens[piece.draw.set] += example.length();
    }
    return item;
  }

  /// The beginning of the window behind one of which all plans are handed out.
  Position after_window(Position at, const std::vector<Plan>& plans) const {
    at.window =
        begin_window(at.window->index + 1, pass_left_after(*at.window, plans, std::ssize(plans)));
    at.batch = 0;
    return at;
  }

  // ---- the loader's thread -------------------------------------------------------------------

  void run(Position at) {
    try {
      mixture.restore(at.window->mixture);
      while (true) {
        const std::vector<Plan> plans = draw_window(*at.window);
        while (at.batch < static_cast<int64_t>(plans.size())) {
          Item item = assemble(plans[at.batch], at);
          at = item.after;
          if (!offer(std::move(item))) return;
        }
        at = after_window(at, plans);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
      changed.notify_all();
    }
  }

  /// Waits for room and queues the item; false when the thread is to end.
  bool offer(Item item) {
    std::unique_lock lock(mutex);
    changed.wait(lock,
                 [&] { return stopping || static_cast<int64_t>(queue.size()) < options.prefetch; });
    if (stopping) return false;
    queue.push_back(std::move(item));
    changed.notify_all();
    return true;
  }

  // ---- the caller's thread -------------------------------------------------------------------

  Item take() {
    if (!thread.joinable()) thread = std::thread([this, from = position] { run(from); });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !queue.empty() || error; });
    if (queue.empty()) std::rethrow_exception(error);
    Item item = std::move(queue.front());
    queue.pop_front();
    changed.notify_all();
    return item;
  }

  /// Ends the thread and forgets what it prepared; take() starts it again from `position`.
  void stop() {
    if (!thread.joinable()) return;
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      changed.notify_all();
    }
    thread.join();
    stopping = false;
    error = nullptr;
    queue.clear();
  }

  /// Puts what is drawn but not handed out back, calls change(), and begins a new window.
  template <class Change>
  void begin_anew(const Change& change) {
    stop();
    mixture.restore(position.window->mixture);
    const std::vector<Plan> plans = draw_window(*position.window);
    for (size_t i = plans.size(); i > static_cast<size_t>(position.batch); --i) {
      mixture.put_back(draws_of(plans[i - 1]));
    }
    const int64_t pass_left = pass_left_after(*position.window, plans, position.batch);
    change();
    position.window = begin_window(position.window->index + 1, pass_left);
    position.batch = 0;
  }

  int64_t count_batches(double passes, int64_t skipped) {
    stop();
    const double wanted = passes * static_cast<double>(pass_tokens()) * (1 - 1e-12);
    int64_t batches = 0;
    double handed = 0;
    mixture.restore(position.window->mixture);
    for (Position at = position; batches == 0 || handed < wanted;) {
      const std::vector<Plan> plans = draw_window(*at.window);
      for (; at.batch < std::ssize(plans) && (batches == 0 || handed < wanted); ++at.batch) {
        if (skipped > 0) {
          --skipped;
          continue;
        }
        ++batches;
        handed += static_cast<double>(own_tokens(plans[at.batch]));
      }
      at = after_window(at, plans);
    }
    mixture.restore(position.window->mixture);
    return batches;
  }

  void set_weights(const std::vector<double>& weights) {
    begin_anew([&] { mixture.set_weights(weights); });
  }

  void set_augmentation_rate(double wanted) {
    if (!(wanted >= 0 && wanted <= 1)) {
      throw Error("Loader: the augmentation rate must lie in [0, 1], got " +
                  std::to_string(wanted));
    }
    if (wanted == rate) return;
    if (!augmenter) throw Error("Loader: an augmentation rate above 0 needs an Augmenter");
    begin_anew([&] { rate = wanted; });
  }

  Json state() const {
    Json state = {{"identity", identity},
                  {"mixture", position.window->mixture},
                  {"window", position.window->index},
                  {"batch", position.batch},
                  {"augmentation_rate", position.window->augmentation_rate},
                  {"tokens", position.tokens}};
    if (options.whole_passes) state["pass_left"] = position.window->pass_left;
    return state;
  }

  void restore(const Json& state) {
    const Json& saved = state.at("identity");
    for (const auto& [key, value] : identity.items()) {
      if (saved.contains(key) && saved.at(key) == value) continue;
      throw Error("Loader: the saved position belongs to a run with another " + key + ": " +
                  (saved.contains(key) ? saved.at(key).dump() : "none") + ", here " + value.dump());
    }
    Position at;
    at.window = std::make_shared<Window>(
        Window{state.at("mixture"), state.at("window").get<int64_t>(),
               state.at("augmentation_rate").get<double>(), state.value("pass_left", int64_t{0})});
    at.batch = state.at("batch").get<int64_t>();
    at.tokens = state.at("tokens").get<std::vector<int64_t>>();
    const double saved_rate = at.window->augmentation_rate;
    if (at.tokens.size() != sets.size() || at.batch < 0 || at.window->index < 0 ||
        !(saved_rate >= 0 && saved_rate <= 1) ||
        (options.whole_passes && at.window->pass_left < 1)) {
      throw Error("Loader: the saved position is broken");
    }
    stop();
    mixture.restore(at.window->mixture);
    rate = saved_rate;
    position = std::move(at);
  }

  const std::vector<DatasetPtr> sets;
  const LoaderOptions options;
  const std::shared_ptr<const Augmenter> augmenter;
  double rate;    ///< of augmentation; the thread only reads it
  Json identity;  ///< what a saved position must share with this loader
  Position position;
  Mixture mixture;  ///< the thread's while it runs, but for weights and shares, which it only reads
  std::thread thread;
  std::mutex mutex;  ///< guards what follows
  std::condition_variable changed;
  std::deque<Item> queue;
  std::exception_ptr error;
  bool stopping = false;
};

Loader::Loader(std::vector<DatasetPtr> sets, const LoaderOptions& options,
               std::shared_ptr<const Augmenter> augmenter)
    : worker_(std::make_unique<Worker>(std::move(sets), options, std::move(augmenter))) {}
Loader::~Loader() = default;

Batch Loader::next() {
  Worker::Item item = worker_->take();
  worker_->position = std::move(item.after);
  return std::move(item.batch);
}

Json Loader::state() const { return worker_->state(); }

void Loader::restore(const Json& state) {
  try {
    worker_->restore(state);
  } catch (const Json::exception& error) {
    throw Error(std::string("Loader: the saved position is broken: ") + error.what());
  }
}

void Loader::set_weights(const std::vector<double>& weights) { worker_->set_weights(weights); }
int64_t Loader::count_batches(double passes, int64_t skipped) {
  return worker_->count_batches(passes, skipped);
}
std::vector<double> Loader::weights() const { return worker_->mixture.weights(); }
std::vector<double> Loader::shares() const { return worker_->mixture.shares(); }
void Loader::set_augmentation_rate(double rate) { worker_->set_augmentation_rate(rate); }
double Loader::augmentation_rate() const { return worker_->rate; }
std::vector<int64_t> Loader::tokens_drawn() const { return worker_->position.tokens; }

}  // namespace hone::data
