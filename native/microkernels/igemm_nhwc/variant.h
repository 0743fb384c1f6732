// Included last by the files that implement the micro-kernels, in their namespaces: the variant's
// entry in the table.
extern const IgemmKernel kernel;
const IgemmKernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET,
                         kPrecision,
                         kMr,
                         kMrGroup,
                         kNr,
                         VARIANT_NR_STEP,
                         VARIANT_K_BLOCK,
                         run,
                         release,
                         pack_chosen_n,
                         pack_chosen_k};
