#include "deeppcr/core/machine.hpp"

#include <gtest/gtest.h>

namespace deeppcr {
namespace {

TEST(KernelSeconds, CountAMatrixOnceAndItsVectorsEach) {
  KernelSeconds table;
  table.call = 1;
  table.matrix_eight = 10;
  table.multiply_add = 100;
  table.function = 1000;
  // 9 rows are two registers of eight, in each of 3 columns.
  EXPECT_EQ(table.product(9, 3, 1), 1 + 6 * 10);
  EXPECT_EQ(table.product(9, 3, 5), 1 + 6 * (10 + 4 * 100));
  EXPECT_EQ(table.layer(8, 2), table.product(8, 8, 2) + 16 * 1000);
}

// Within a node nothing passes the switch.
TEST(Network, KnowsNodesAndLinks) {
  Network network;
  network.node_ranks = 4;
  network.node_latency = 1;
  network.node_bandwidth = 100;
  network.latency = 10;
  network.bandwidth = 50;
  EXPECT_EQ(network.message(200, 1), 0);
  EXPECT_EQ(network.message(200, 4), 1 + 2);
  EXPECT_EQ(network.message(200, 5), 10 + 4);
  EXPECT_EQ(network.scan(200, 4), 2 * (1 + 2));
  // Two levels within nodes, one between two nodes and two between four, and two to a node's ranks.
  EXPECT_EQ(network.scan(200, 5, 300), 2 * (1 + 2) + (10 + 4) + 2 * (1 + 3));
  EXPECT_EQ(network.scan(200, 16), 2 * (1 + 2) + 2 * (10 + 4) + 2 * (1 + 2));
  // Two levels within nodes on the way up and down, then one between nodes and another.
  EXPECT_EQ(network.reduction(4), 2);
  EXPECT_EQ(network.reduction(16), 2 * 2 + 2 * 10);
}

}  // namespace
}  // namespace deeppcr
