"""Counting machine code."""

from __future__ import annotations

from adafuse_deploy.ops.triton.sass import Loop, read

LISTING = """\
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   LDSM.16.M88.4 R4, [R2] ;
.L_x_0:
        /*0020*/                   HMMA.16816.F32 R8, R4, R6, R8 ;
        /*0030*/              @!P0 BRA `(.L_x_0) ;
        /*0040*/               @P1 BRA `(.L_x_1) ;
        /*0050*/              @P2 STG.E.128 [R2.64], R8 ;
        /*0060*/                   STG.E.U16 [R2.64], R8 ;
        /*0070*/                   STG.E [R2.64], R8 ;
        /*0080*/                   EXIT ;
        /*0090*/                   NOP;
"""


def test_loops_and_stores() -> None:
    code = read(LISTING)
    assert code.instructions == 9
    assert code.loops == code.products == (Loop(2, 1),)
    assert code.outside == 7
    assert code.stores == {16: 1, 2: 1, 4: 1}
