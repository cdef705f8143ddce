"""What numba has no word for and LLVM has: instructions for the compiled algorithms of `softmax_lanes`."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32  # float32 that are worked on side by side: two registers of 512 bits, four of 256


@intrinsic
def fused_multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Round a · b + c once: LLVM's own instruction, and not a contraction that fast-math may or may not make."""
    signature = types.float32(types.float32, types.float32, types.float32)
    return signature, lambda context, builder, signature, arguments: builder.fma(*arguments)


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 that these 32 bits are."""
    return types.float32(types.int32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], ir.FloatType()
    )


@intrinsic
def bits_of_float(typing_context: Any, number: Any) -> Any:
    """The 32 bits of a float32."""
    return types.int32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], ir.IntType(32)
    )


@intrinsic
def room_for_lanes(typing_context: Any) -> Any:
    """LANES float32 on the stack: unlike an array of numpy's, LLVM can keep them in registers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        room = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), LANES))
        room.align = 64
        return builder.bitcast(room, ir.FloatType().as_pointer())

    return types.CPointer(types.float32)(), generate


@intrinsic
def stream_lanes(typing_context: Any, array: Any, start: Any, room: Any) -> Any:
    """Write LANES float32 from the stack to array[start:], a place on a multiple of 64 bytes, past the caches."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        vector = ir.VectorType(ir.FloatType(), LANES).as_pointer()
        lanes = builder.load(builder.bitcast(arguments[2], vector), align=64)
        store = builder.store(lanes, builder.bitcast(builder.gep(base, [arguments[1]]), vector), align=64)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.none(array, types.int64, room), generate
