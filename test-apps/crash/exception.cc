/* SPDX-License-Identifier: Apache-2.0 */
// A C++ program that ends by an exception that nobody catches, or by one of the other ways that C++ has.
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace shop
{
struct Order {
    virtual ~Order() = default;
    int total(const std::vector<int> &prices, std::size_t number) const
    {
        return prices.at(number); // throws std::out_of_range
    }
};

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};
} // namespace shop

static void out_of_range()
{
    std::vector<int> prices{1, 2, 3};
    std::printf("%d\n", shop::Order().total(prices, 7));
}

static void refused()
{
    throw shop::Refused("no money left");
}

static void number()
{
    throw 42;
}

static void in_thread()
{
    std::thread(refused).join();
}

static void in_noexcept() noexcept
{
    refused();
}

static void null_member()
{
    std::unique_ptr<std::string> none;
    std::printf("%c\n", (*none)[0]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)();
    } rows[] = {{"out_of_range", out_of_range}, {"refused", refused},         {"number", number},
                {"in_thread", in_thread},       {"in_noexcept", in_noexcept}, {"null_member", null_member},
                {"terminate", std::terminate}};

    for (const auto &row : rows)
        if (argc > 1 && std::strcmp(row.name, argv[1]) == 0)
            row.run();
    return 2;
}
