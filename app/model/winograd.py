"""Winograd's minimal filtering: 3×3 convolutions with a quarter of the multiplications, in plain torch.

One output tile of 4×4 pixels depends on an input tile ``d`` of 6×6 pixels. With the kernel ``g`` (3×3) it is

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

which takes 36 multiplications where the sums of the definition take 4·4·9 = 144. It is the product of polynomials by
way of their values: ``G`` and ``Bᵀ`` evaluate kernel and tile at the points 0, 1, -1, 2, -2 and ∞, ``Aᵀ`` interpolates
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.3; F(4×4, 3×3) there).

Over many channels, ⊙ becomes 36 products of matrices, one for each pair of points: (tiles × channels in) by (channels
in × channels out), which is one ``bmm``. The kernels are transformed once, in fp64, and take 36/9 of their memory. The
transforms of the tiles are products too: on a tile written as a vector of 36, Bᵀ d B is (Bᵀ ⊗ Bᵀ), 36×36, and the way
back is (Aᵀ ⊗ Aᵀ), 16×36. So every step is one call of the processor's best routine, and what is left is to gather
overlapping tiles and to put the results in their places. That goes in blocks of tile rows which stay in the cache.

Error: the largest entries of Bᵀ ⊗ Bᵀ are 25, so rounding costs one or two decimal digits of fp32's seven. On VGG16 the
probabilities differ from the direct sums' in the sixth digit.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

TILE, KERNEL = 4, 3
PATCH = TILE + KERNEL - 1  # pixels of the input that a tile of the output depends on, each way
BLOCK_BYTES = 2**21  # of gathered tiles: in and out and what is between them then stay in the cache
ONES = 1 * PATCH + 1  # Aᵀ's second column is all ones, so what is added to this one product is added to all of a tile

B_T = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
G = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
A_T = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    dtype=torch.float64,
)


def transform_kernels(weight: Tensor) -> Tensor:
    """G g Gᵀ of every kernel: (out, in, 3, 3) -> fp32 (36, in, out)."""
    kernels = weight.double().permute(2, 3, 1, 0).reshape(KERNEL * KERNEL, -1)
    return (torch.kron(G, G) @ kernels).float().view(PATCH * PATCH, weight.shape[1], weight.shape[0])


class WinogradConv2d(nn.Module):
    """A 3×3 convolution of stride 1, with the ReLU that follows it if there is one."""

    kernels: Tensor
    bias: Tensor
    to_values: Tensor
    to_pixels: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, padding: tuple[int, int], *, relu: bool) -> None:
        """``weight`` is (out, in, 3, 3) and ``bias`` (out); neither is kept."""
        super().__init__()
        self.register_buffer("kernels", transform_kernels(weight))
        self.register_buffer("bias", bias.float().clone())
        self.register_buffer("to_values", torch.kron(B_T, B_T).float())
        self.register_buffer("to_pixels", torch.kron(A_T, A_T).float())
        self.padding = padding
        self.relu = relu

    def forward(self, images: Tensor) -> Tensor:
        """fp32 (N, in, height, width) -> (N, out, height, width), both best in channels_last."""
        (count, channels, height, width), (down, right) = images.shape, self.padding
        height, width = height + 2 * down - KERNEL + 1, width + 2 * right - KERNEL + 1  # of the output
        rows, columns = -(-height // TILE), -(-width // TILE)
        below, beside = rows * TILE - height, columns * TILE - width
        padded = pad(images.permute(0, 2, 3, 1), (0, 0, right, right + beside, down, down + below)).contiguous()
        output = padded.new_empty(count, rows, TILE, columns, TILE, self.kernels.shape[2])
        row_bytes = count * columns * PATCH * PATCH * channels * padded.element_size()
        step = max(1, BLOCK_BYTES // max(1, row_bytes))
        for row in range(0, rows, step):
            block = min(step, rows - row)
            self._convolve(padded[:, row * TILE : (row + block) * TILE + KERNEL - 1], output[:, row : row + block])
        whole = output.flatten(3, 4).flatten(1, 2)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def _convolve(self, padded: Tensor, output: Tensor) -> None:
        """Rows of tiles: (N, 4 · rows + 2, 4 · columns + 2, in) into (N, rows, 4, columns, 4, out)."""
        count, rows, _, columns, _, channels = output.shape
        patches = padded.unfold(1, PATCH, TILE).unfold(2, PATCH, TILE)  # (N, rows, columns, in, 6, 6), a view
        tiles = patches.permute(4, 5, 0, 1, 2, 3).reshape(PATCH * PATCH, count * rows * columns * padded.shape[3])
        values = (self.to_values @ tiles).view(PATCH * PATCH, count * rows * columns, padded.shape[3])
        products = torch.bmm(values, self.kernels)
        products[ONES] += self.bias
        pixels = self.to_pixels @ products.flatten(1)
        if self.relu:
            pixels.relu_()
        output.copy_(pixels.view(TILE, TILE, count, rows, columns, channels).permute(2, 3, 0, 4, 1, 5))
