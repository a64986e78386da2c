# cmake -DFROM=file.py -DTO=file.c -DNAME=symbol -P embed.cmake: a text file as
# a C string, so that the program needs no file beside it.
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${TO} "extern const char ${NAME}[];\nconst char ${NAME}[] = {${bytes}0};\n")
