/// Pages of HTML that people read: one file each, no network, in dark and in light.
#pragma once
#include <string>
#include <string_view>

namespace hone::view {

/// "&lt;" for "<" and so on; safe in text and in quoted attributes.
std::string escape_html(std::string_view text);

/// The head of a page about something that users describe in their words: the first sentence large,
/// the rest small under it. Escapes.
std::string render_heading(const std::string& about);

/// The first sentence, not escaped: for a window's title.
std::string first_sentence(const std::string& about);

/// A whole page. Its style sheet knows the colours --s0 ... --s7 (series), --ink, --soft, --rule,
/// --card, --good, --bad, and the classes tiles, plots, multiples, card, legend, number, grid,
/// axis, name, line, faint, mark (of the colour --c), heat, ramp. `title` and `body` must be
/// escaped; `style` and `script` are added.
std::string render_page(const std::string& title, const std::string& body,
                        const std::string& style = "", const std::string& script = "");

}  // namespace hone::view
