"""placeholder"""
def write_report(results, setting, output):
    return output
