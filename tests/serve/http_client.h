/// A client that says exactly what it is told to, whether HTTP or not.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace hone::serve::test {

class RawClient {
 public:
  /// From `address`, any of 127.0.0.0/8.
  explicit RawClient(int port, const char* address = "127.0.0.1")
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{.tv_sec = 20};  // a server that does not answer fails the test
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in from{.sin_family = AF_INET}, to{.sin_family = AF_INET};
    ::inet_pton(AF_INET, address, &from.sin_addr);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    to.sin_port = htons(static_cast<uint16_t>(port));
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0 ||
        ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      throw std::runtime_error("RawClient: cannot connect");
    }
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ~RawClient() {
    if (socket_ >= 0) ::close(socket_);
  }

  RawClient& send(const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;  // the server has closed: what it said first can still be read
      sent += static_cast<size_t>(n);
    }
    return *this;
  }
  /// No more will be sent.
  RawClient& finish() {
    ::shutdown(socket_, SHUT_WR);
    return *this;
  }
  /// Everything until the server closes.
  std::string read_all() {
    std::string text;
    while (read_some(text)) {
    }
    return text;
  }
  /// Until `text` has come `times` times, or the server closes.
  std::string read_until(const std::string& text, int times = 1) {
    std::string all;
    for (;;) {
      int found = 0;
      for (size_t at = 0; (at = all.find(text, at)) != std::string::npos; ++at) ++found;
      if (found >= times || !read_some(all)) return all;
    }
  }

 private:
  bool read_some(std::string& text) {
    char piece[16384];
    const ssize_t n = ::recv(socket_, piece, sizeof piece, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      throw std::runtime_error("RawClient: the server neither answers nor closes");
    }
    if (n > 0) text.append(piece, static_cast<size_t>(n));
    return n > 0;
  }

  int socket_;
};

/// A well-formed GET; `more` are further header lines.
inline std::string get(int port, const std::string& target, const std::string& more = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost:" + std::to_string(port) + "\r\n" + more +
         "\r\n";
}

/// The whole answer to one GET on a connection of its own.
inline std::string fetch(int port, const std::string& target) {
  return RawClient(port).send(get(port, target, "Connection: close\r\n")).read_all();
}

/// What follows the header.
inline std::string body_of(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace hone::serve::test
