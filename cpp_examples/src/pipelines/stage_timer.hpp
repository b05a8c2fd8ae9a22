// Wall time of the stages of one image.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace fundusrt {

// Adds up milliseconds by stage name, in the order the stages first ran.
class StageTimer {
  public:
    template <typename Work>
    auto stage(const char* name, Work work) {
        const Span span(*this, name);
        return work();
    }

    std::vector<std::pair<std::string, double>> ms;

  private:
    using Clock = std::chrono::steady_clock;

    class Span {
      public:
        Span(StageTimer& timer, const char* name) : timer_(timer), name_(name) {}
        ~Span() {
            const double spent = std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
            for (auto& [name, ms] : timer_.ms)
                if (name == name_) {
                    ms += spent;
                    return;
                }
            timer_.ms.emplace_back(name_, spent);
        }
        Span(const Span&) = delete;
        Span& operator=(const Span&) = delete;

      private:
        StageTimer& timer_;
        const char* name_;
        Clock::time_point start_ = Clock::now();
    };
};

}  // namespace fundusrt
