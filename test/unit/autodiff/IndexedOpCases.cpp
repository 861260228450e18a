// SPDX-License-Identifier: Apache-2.0
#include "test/unit/autodiff/OpCases.h"

namespace weir::compiler::test {

std::vector<OpCase> indexedOpCases() {
  constexpr auto Zero = Derivative::Zero;
  constexpr auto Refused = Derivative::Refused;
  static const char *m = "tensor<3x5xf32>";
  static const char *t = "tensor<2x5x3xf32>";
  static const char *image = "tensor<2x3x7x5xf32>";
  return {
      // Padding.
      {"pad",
       "pad %a0 low [1, 0] value 0.5 : (tensor<3x5xf32>) -> tensor<6x5xf32>",
       {{m, normal()}},
       {"tensor<6x5xf32>"}},
      {"pad_both",
       "pad %a0 low [2, 1] value 0.0 : (tensor<3x5xf32>) -> tensor<5x9xf32>",
       {{m, normal()}},
       {"tensor<5x9xf32>"}},
      {"pad_nothing",
       "pad %a0 low [0, 0] value 0.0 : (tensor<3x5xf32>) -> tensor<3x5xf32>",
       {{m, normal()}},
       {m}},
      {"pad_integers",
       "pad %a0 low [1] value -1.0 : (tensor<3xi32>) -> tensor<5xi32>",
       {{"tensor<3xi32>", integer(0, 9)}},
       {"tensor<5xi32>"},
       Zero},

      // Products.
      {"reduce_prod",
       "reduce prod %a0 [1] : (tensor<2x5x3xf32>) -> tensor<2x3xf32>",
       {{t, normal()}},
       {"tensor<2x3xf32>"}},
      {"reduce_prod_two",
       "reduce prod %a0 [0, 2] : (tensor<2x5x3xf32>) -> tensor<5xf32>",
       {{t, normal()}},
       {"tensor<5xf32>"}},
      {"reduce_prod_all",
       "reduce prod %a0 [0] : (tensor<5xf32>) -> tensor<f32>",
       {{"tensor<5xf32>", normal()}},
       {"tensor<f32>"}},
      // The gradient of a zero element is the product of the others.
      {"reduce_prod_zeros",
       "reduce prod %a0 [1] : (tensor<3x3xf32>) -> tensor<3xf32>",
       {{"tensor<3x3xf32>", fixed({1, 0, 3, 0, 0, 2, 4, 5, 6})}},
       {"tensor<3xf32>"}},
      {"reduce_prod_integers",
       "reduce prod %a0 [0] : (tensor<3x5xi32>) -> tensor<5xi32>",
       {{"tensor<3x5xi32>", integer(-9, 9)}},
       {"tensor<5xi32>"},
       Zero},

      // Scans.
      {"cumsum",
       "cumsum %a0 dim 1 : (tensor<2x5x3xf32>) -> tensor<2x5x3xf32>",
       {{t, normal()}},
       {t}},
      {"cumsum_last",
       "cumsum %a0 dim 1 : (tensor<3x5xf32>) -> tensor<3x5xf32>",
       {{m, normal()}},
       {m}},
      {"cumsum_reverse",
       "cumsum %a0 dim 0 reverse : (tensor<3x5xf32>) -> tensor<3x5xf32>",
       {{m, normal()}},
       {m}},
      {"cumsum_exclusive",
       "cumsum %a0 dim 1 exclusive : (tensor<3x5xf32>) -> tensor<3x5xf32>",
       {{m, normal()}},
       {m}},
      {"cumsum_reverse_exclusive",
       "cumsum %a0 dim 0 reverse exclusive : (tensor<7xf32>) -> tensor<7xf32>",
       {{"tensor<7xf32>", normal()}},
       {"tensor<7xf32>"}},
      {"cumsum_integers",
       "cumsum %a0 dim 0 : (tensor<7xi64>) -> tensor<7xi64>",
       {{"tensor<7xi64>", integer(-9, 9)}},
       {"tensor<7xi64>"},
       Zero},
      {"cumprod",
       "cumprod %a0 dim 1 reverse exclusive : (tensor<3x5xf32>) -> "
       "tensor<3x5xf32>",
       {{m, normal()}},
       {m},
       Refused},

      // Order.
      {"sort",
       "sort %a0 dim 1 : (tensor<2x5x3xf32>) -> (tensor<2x5x3xf32>, "
       "tensor<2x5x3xi32>)",
       {{t, distinct()}},
       {t, "tensor<2x5x3xi32>"}},
      {"sort_descending",
       "sort %a0 dim 1 descending : (tensor<3x5xf32>) -> (tensor<3x5xf32>, "
       "tensor<3x5xi64>)",
       {{m, distinct()}},
       {m, "tensor<3x5xi64>"}},
      {"sort_long",
       "sort %a0 dim 0 : (tensor<67xf32>) -> (tensor<67xf32>, tensor<67xi32>)",
       {{"tensor<67xf32>", distinct()}},
       {"tensor<67xf32>", "tensor<67xi32>"}},
      // Of seven numbers, so that most are equal to others.
      {"sort_ties",
       "sort %a0 dim 0 : (tensor<67x2xi32>) -> (tensor<67x2xi32>, "
       "tensor<67x2xi32>)",
       {{"tensor<67x2xi32>", integer(-3, 4)}},
       {"tensor<67x2xi32>", "tensor<67x2xi32>"},
       Zero},
      {"sort_ties_descending",
       "sort %a0 dim 0 descending : (tensor<67xi64>) -> (tensor<67xi64>, "
       "tensor<67xi32>)",
       {{"tensor<67xi64>", integer(-3, 4)}},
       {"tensor<67xi64>", "tensor<67xi32>"},
       Zero},
      {"top_k",
       "top_k %a0 dim 1 : (tensor<3x5xf32>) -> (tensor<3x2xf32>, "
       "tensor<3x2xi32>)",
       {{m, distinct()}},
       {"tensor<3x2xf32>", "tensor<3x2xi32>"}},
      {"top_k_middle",
       "top_k %a0 dim 1 : (tensor<2x5x3xf32>) -> (tensor<2x3x3xf32>, "
       "tensor<2x3x3xi32>)",
       {{t, distinct()}},
       {"tensor<2x3x3xf32>", "tensor<2x3x3xi32>"}},

      // By index; some are outside.
      {"take",
       "take %a0, %a1 dim 1 : (tensor<2x5x3xf32>, tensor<4xi32>) -> "
       "tensor<2x4x3xf32>",
       {{t, normal()}, {"tensor<4xi32>", integer(-1, 6)}},
       {"tensor<2x4x3xf32>"}},
      {"take_first",
       "take %a0, %a1 dim 0 : (tensor<3x5xf32>, tensor<2x3xi32>) -> "
       "tensor<2x3x5xf32>",
       {{m, normal()}, {"tensor<2x3xi32>", integer(0, 3)}},
       {"tensor<2x3x5xf32>"}},
      {"take_last",
       "take %a0, %a1 dim 2 : (tensor<2x5x3xf32>, tensor<2x2xi64>) -> "
       "tensor<2x5x2x2xf32>",
       {{t, normal()}, {"tensor<2x2xi64>", integer(0, 3)}},
       {"tensor<2x5x2x2xf32>"}},
      {"take_one",
       "take %a0, %a1 dim 1 : (tensor<3x5xf32>, tensor<i32>) -> tensor<3xf32>",
       {{m, normal()}, {"tensor<i32>", fixed({4})}},
       {"tensor<3xf32>"}},
      {"take_booleans",
       "take %a0, %a1 dim 1 : (tensor<3x5xi1>, tensor<4xi32>) -> "
       "tensor<3x4xi1>",
       {{"tensor<3x5xi1>", integer(0, 2)}, {"tensor<4xi32>", integer(0, 5)}},
       {"tensor<3x4xi1>"},
       Zero},
      {"take_along",
       "take_along %a0, %a1 dim 1 : (tensor<2x5x3xf32>, tensor<2x4x3xi32>) -> "
       "tensor<2x4x3xf32>",
       {{t, normal()}, {"tensor<2x4x3xi32>", integer(-1, 6)}},
       {"tensor<2x4x3xf32>"}},
      {"take_along_first",
       "take_along %a0, %a1 dim 0 : (tensor<3x5xf32>, tensor<4x5xi64>) -> "
       "tensor<4x5xf32>",
       {{m, normal()}, {"tensor<4x5xi64>", integer(0, 3)}},
       {"tensor<4x5xf32>"}},
      {"scatter_add",
       "scatter_add %a0, %a1 dim 1 : (tensor<4xi32>, tensor<2x4x3xf32>) -> "
       "tensor<2x5x3xf32>",
       {{"tensor<4xi32>", integer(-1, 6)}, {"tensor<2x4x3xf32>", normal()}},
       {t}},
      {"scatter_add_segments",
       "scatter_add %a0, %a1 dim 0 : (tensor<9xi32>, tensor<9x3xf32>) -> "
       "tensor<4x3xf32>",
       {{"tensor<9xi32>", integer(0, 4)}, {"tensor<9x3xf32>", normal()}},
       {"tensor<4x3xf32>"}},
      {"scatter_add_last",
       "scatter_add %a0, %a1 dim 1 : (tensor<2x3xi64>, tensor<5x2x3xf32>) -> "
       "tensor<5x4xf32>",
       {{"tensor<2x3xi64>", integer(0, 4)}, {"tensor<5x2x3xf32>", normal()}},
       {"tensor<5x4xf32>"}},
      {"scatter_add_along",
       "scatter_add %a0, %a1 dim 1 along : (tensor<2x4x3xi32>, "
       "tensor<2x4x3xf32>) -> tensor<2x5x3xf32>",
       {{"tensor<2x4x3xi32>", integer(-1, 6)}, {"tensor<2x4x3xf32>", normal()}},
       {t}},
      {"scatter_add_counts",
       "scatter_add %a0, %a1 dim 1 : (tensor<4xi32>, tensor<2x4xi32>) -> "
       "tensor<2x3xi32>",
       {{"tensor<4xi32>", integer(0, 3)}, {"tensor<2x4xi32>", integer(1, 5)}},
       {"tensor<2x3xi32>"},
       Zero},

      // Windows.
      {"window",
       "window %a0 dims [1] strides [2] dilations [1] low [1] value 0.0 : "
       "(tensor<3x7xf32>) -> tensor<3x3x4xf32>",
       {{"tensor<3x7xf32>", normal()}},
       {"tensor<3x3x4xf32>"}},
      {"window_two",
       "window %a0 dims [0, 2] strides [1, 2] dilations [2, 1] low [2, 0] "
       "value -0.5 : (tensor<5x2x7xf32>) -> tensor<3x2x4x2x3xf32>",
       {{"tensor<5x2x7xf32>", normal()}},
       {"tensor<3x2x4x2x3xf32>"}},
      {"window_tiles",
       "window %a0 dims [1] strides [3] dilations [1] low [0] value 1.0 : "
       "(tensor<2x6xf32>) -> tensor<2x3x2xf32>",
       {{"tensor<2x6xf32>", normal()}},
       {"tensor<2x3x2xf32>"}},
      {"fold",
       "fold %a0 dims [1] strides [2] dilations [1] low [1] : "
       "(tensor<3x3x4xf32>) -> tensor<3x7xf32>",
       {{"tensor<3x3x4xf32>", normal()}},
       {"tensor<3x7xf32>"}},
      {"fold_two",
       "fold %a0 dims [0, 2] strides [1, 2] dilations [2, 1] low [2, 0] : "
       "(tensor<3x2x4x2x3xf32>) -> tensor<5x2x7xf32>",
       {{"tensor<3x2x4x2x3xf32>", normal()}},
       {"tensor<5x2x7xf32>"}},
      {"fold_tiles",
       "fold %a0 dims [1, 2] strides [3, 2] dilations [1, 1] low [0, 0] : "
       "(tensor<2x3x2x2x4xf32>) -> tensor<2x6x8xf32>",
       {{"tensor<2x3x2x2x4xf32>", normal()}},
       {"tensor<2x6x8xf32>"}},

      // Convolutions.
      {"conv",
       "conv %a0, %a1 strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] "
       "groups 1 : (tensor<2x3x7x5xf32>, tensor<4x3x3x3xf32>) -> "
       "tensor<2x4x7x5xf32>",
       {{image, normal()}, {"tensor<4x3x3x3xf32>", normal()}},
       {"tensor<2x4x7x5xf32>"}},
      {"conv_strided",
       "conv %a0, %a1 strides [2, 3] dilations [2, 1] low [0, 2] high [1, 0] "
       "groups 1 : (tensor<2x3x7x5xf32>, tensor<4x3x3x2xf32>) -> "
       "tensor<2x4x2x2xf32>",
       {{image, normal()}, {"tensor<4x3x3x2xf32>", normal()}},
       {"tensor<2x4x2x2xf32>"}},
      {"conv_groups",
       "conv %a0, %a1 strides [1] dilations [1] low [1] high [1] groups 2 : "
       "(tensor<3x4x5xf32>, tensor<6x2x3xf32>) -> tensor<3x6x5xf32>",
       {{"tensor<3x4x5xf32>", normal()}, {"tensor<6x2x3xf32>", normal()}},
       {"tensor<3x6x5xf32>"}},
      {"conv_depthwise",
       "conv %a0, %a1 strides [1, 2] dilations [1, 1] low [1, 0] high [0, 1] "
       "groups 3 : (tensor<2x3x7x5xf32>, tensor<3x1x2x3xf32>) -> "
       "tensor<2x3x7x2xf32>",
       {{image, normal()}, {"tensor<3x1x2x3xf32>", normal()}},
       {"tensor<2x3x7x2xf32>"}},
      {"conv_pointwise",
       "conv %a0, %a1 strides [1, 1] dilations [1, 1] low [0, 0] high [0, 0] "
       "groups 1 : (tensor<2x3x7x5xf32>, tensor<4x3x1x1xf32>) -> "
       "tensor<2x4x7x5xf32>",
       {{image, normal()}, {"tensor<4x3x1x1xf32>", normal()}},
       {"tensor<2x4x7x5xf32>"}},
      {"conv_row",
       "conv %a0, %a1 strides [1, 1] dilations [1, 1] low [0, 1] high [0, 1] "
       "groups 1 : (tensor<2x3x7x5xf32>, tensor<4x3x1x3xf32>) -> "
       "tensor<2x4x7x5xf32>",
       {{image, normal()}, {"tensor<4x3x1x3xf32>", normal()}},
       {"tensor<2x4x7x5xf32>"}},
      {"conv_patches",
       "conv %a0, %a1 strides [2, 3] dilations [1, 1] low [0, 0] high [0, 0] "
       "groups 1 : (tensor<2x3x6x9xf32>, tensor<5x3x2x3xf32>) -> "
       "tensor<2x5x3x3xf32>",
       {{"tensor<2x3x6x9xf32>", normal()}, {"tensor<5x3x2x3xf32>", normal()}},
       {"tensor<2x5x3x3xf32>"}},
      {"conv_cubes",
       "conv %a0, %a1 strides [1, 1, 1] dilations [1, 1, 1] low [0, 1, 0] "
       "high [0, 0, 1] groups 1 : (tensor<1x2x4x3x5xf32>, "
       "tensor<3x2x2x2x2xf32>) -> tensor<1x3x3x3x5xf32>",
       {{"tensor<1x2x4x3x5xf32>", normal()},
        {"tensor<3x2x2x2x2xf32>", normal()}},
       {"tensor<1x3x3x3x5xf32>"}},

      // Pools.
      {"pool_max",
       "pool max %a0 window [2, 2] strides [2, 2] dilations [1, 1] low [0, 0] "
       "high [0, 0] : (tensor<2x3x7x5xf32>) -> tensor<2x3x3x2xf32>",
       {{image, distinct()}},
       {"tensor<2x3x3x2xf32>"}},
      {"pool_max_overlapping",
       "pool max %a0 window [3, 3] strides [2, 1] dilations [1, 1] low [1, 1] "
       "high [1, 0] : (tensor<2x3x7x5xf32>) -> tensor<2x3x4x4xf32>",
       {{image, distinct()}},
       {"tensor<2x3x4x4xf32>"}},
      {"pool_avg",
       "pool avg %a0 window [3, 2] strides [2, 1] dilations [1, 2] low [1, 1] "
       "high [1, 1] : (tensor<2x3x7x5xf32>) -> tensor<2x3x4x5xf32>",
       {{image, normal()}},
       {"tensor<2x3x4x5xf32>"}},
      {"pool_avg_inside",
       "pool avg %a0 window [3, 2] strides [2, 1] dilations [1, 2] low [1, 1] "
       "high [1, 1] exclude_padding : (tensor<2x3x7x5xf32>) -> "
       "tensor<2x3x4x5xf32>",
       {{image, normal()}},
       {"tensor<2x3x4x5xf32>"}},
      {"pool_sum_tiles",
       "pool sum %a0 window [3] strides [3] dilations [1] low [0] high [0] : "
       "(tensor<2x3x9xf32>) -> tensor<2x3x3xf32>",
       {{"tensor<2x3x9xf32>", normal()}},
       {"tensor<2x3x3xf32>"}},
  };
}

} // namespace weir::compiler::test
