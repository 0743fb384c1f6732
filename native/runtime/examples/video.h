// Frames from uncompressed video: Y4M (8 bits, 4:2:0, 4:2:2 or 4:4:4), or raw RGB.
#pragma once

#include <adafuse/errors.hpp>
#include <adafuse/preprocess.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

class Video {
 public:
  // A file, or "-" for standard input.  Raw frames need a `size` such as "640x480"; Y4M has its
  // own.
  Video(const std::string& name, const std::string& size) : name_(name) {
    if (name != "-") {
      file_.open(name, std::ios::binary);
      if (!file_) {
        fail("cannot be read");
      }
    }
    if (size.empty()) {
      read_header();
    } else if (std::sscanf(size.c_str(), "%dx%d", &width_, &height_) != 2) {
      throw adafuse::InputError("The size of raw frames is like 640x480, not '" + size + "'.");
    }
    if (width_ < 1 || height_ < 1 || width_ > 16384 || height_ > 16384) {
      fail("has no usable frame size");
    }
    rgb_.resize(std::size_t{3} * width_ * height_);
    chroma_width_ = (width_ + (1 << shift_x_) - 1) >> shift_x_;
    chroma_height_ = (height_ + (1 << shift_y_) - 1) >> shift_y_;
  }

  // False at the end.  The frame is valid until the next call.
  bool next(adafuse::Frame& frame) {
    if (y4m_ ? !next_y4m() : !fill(rgb_)) {
      return false;
    }
    frame = {rgb_.data(), height_, width_};
    return true;
  }

 private:
  std::istream& stream() { return name_ == "-" ? std::cin : file_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw adafuse::InputError(name_ + " " + what +
                              "; make Y4M with ffmpeg -pix_fmt yuv420p -f yuv4mpegpipe, or raw RGB "
                              "with ffmpeg -pix_fmt rgb24 -f rawvideo and give its size.");
  }

  void read_header() {
    y4m_ = true;
    std::string line, word;
    std::getline(stream(), line);
    std::istringstream words(line);
    words >> word;
    if (word != "YUV4MPEG2") {
      fail("is no Y4M video");
    }
    std::string colour = "420";
    while (words >> word) {
      const std::string value = word.substr(1);
      if (word[0] == 'W' || word[0] == 'H') {
        (word[0] == 'W' ? width_ : height_) = std::atoi(value.c_str());
      } else if (word[0] == 'C') {
        colour = value;
      }
    }
    const bool known = colour == "422" || colour == "444" || colour == "420" ||
                       colour == "420jpeg" || colour == "420mpeg2" || colour == "420paldv";
    if (!known) {
      fail("has colours " + colour + ", not 8-bit 420, 422 or 444");
    }
    shift_x_ = colour == "444" ? 0 : 1;
    shift_y_ = colour.compare(0, 3, "420") == 0 ? 1 : 0;
  }

  // Fills all of `bytes`; false at the end, an error in the middle of a frame.
  bool fill(std::vector<std::uint8_t>& bytes) {
    stream().read(reinterpret_cast<char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
    if (stream().gcount() == 0) {
      return false;
    }
    if (stream().gcount() != static_cast<std::streamsize>(bytes.size())) {
      fail("ends within a frame");
    }
    return true;
  }

  bool next_y4m() {
    std::string line;
    if (!std::getline(stream(), line)) {
      return false;
    }
    if (line.compare(0, 5, "FRAME") != 0) {
      fail("has a damaged frame");
    }
    const std::size_t luma = std::size_t{1} * width_ * height_;
    const std::size_t chroma = std::size_t{1} * chroma_width_ * chroma_height_;
    yuv_.resize(luma + 2 * chroma);
    if (!fill(yuv_)) {
      fail("ends within a frame");
    }
    std::uint8_t* pixel = rgb_.data();
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x, pixel += 3) {
        const std::size_t at =
            luma + std::size_t{1} * (y >> shift_y_) * chroma_width_ + (x >> shift_x_);
        to_rgb(yuv_[std::size_t{1} * y * width_ + x], yuv_[at], yuv_[at + chroma], pixel);
      }
    }
    return true;
  }

  // BT.601 in its limited range, in units of 1/256.
  static void to_rgb(int y, int u, int v, std::uint8_t* pixel) {
    const int c = 298 * (y - 16) + 128, d = u - 128, e = v - 128;
    const auto clamp = [](int value) {
      return static_cast<std::uint8_t>(std::clamp(value >> 8, 0, 255));
    };
    pixel[0] = clamp(c + 409 * e);
    pixel[1] = clamp(c - 100 * d - 208 * e);
    pixel[2] = clamp(c + 516 * d);
  }

  std::string name_;
  std::ifstream file_;
  bool y4m_ = false;
  int width_ = 0, height_ = 0, shift_x_ = 0, shift_y_ = 0, chroma_width_ = 0, chroma_height_ = 0;
  std::vector<std::uint8_t> rgb_, yuv_;
};
